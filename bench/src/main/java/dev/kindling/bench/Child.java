package dev.kindling.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A fresh JVM for each measurement, so that none inherits the memory or the threads of another.
 *
 * <p>Its environment is the one that libtorch is fastest in. Left to itself, glibc maps and unmaps
 * every large tensor, and page faults took 15 of 54 s of processor time in four steps of llama-60m,
 * start included; with one arena, nothing mapped, nothing given back and huge pages it was 3 of 48
 * s in five. OpenMP's threads must not spin while OpenBLAS's, which are others, compute on the same
 * cores.
 */
final class Child {
  private static final Map<String, String> ENVIRONMENT =
      Map.of(
          "OMP_WAIT_POLICY", "PASSIVE",
          "MALLOC_ARENA_MAX", "1",
          "MALLOC_MMAP_MAX_", "0",
          "MALLOC_TRIM_THRESHOLD_", "1000000000000",
          "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

  private static final ObjectMapper JSON = new ObjectMapper();

  private Child() {}

  /**
   * Measures in a process of its own.
   *
   * @throws IllegalStateException if it fails
   */
  static Measurement measure(Case setting, List<String> sides, int rounds) {
    List<String> command = new ArrayList<>();
    command.add(System.getProperty("java.home") + "/bin/java");
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Bench.class.getName()));
    command.addAll(List.of("measure", "--rounds", Integer.toString(rounds), setting.label()));
    command.addAll(sides);
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().putAll(ENVIRONMENT);
    builder.environment().put("OMP_NUM_THREADS", Integer.toString(setting.threads()));
    try {
      Process child = builder.start();
      byte[] out = child.getInputStream().readAllBytes();
      int code = child.waitFor();
      if (code != 0) {
        throw new IllegalStateException(setting.label() + " " + sides + " ended with " + code);
      }
      return JSON.readValue(out, Measurement.class);
    } catch (IOException e) {
      throw new IllegalStateException(setting.label() + " " + sides + " could not run", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }
}
