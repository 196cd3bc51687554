package dev.kindling.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.tensor.onednn.InstructionSet;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;

/**
 * Mutable: a table on stderr, JSON lines on stdout, and the same lines in a file under one that
 * tells where and when they were measured.
 */
final class Report {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;

  /** Begins a file named after the time in a folder. */
  Report(Path folder) {
    Instant now = Instant.now().truncatedTo(ChronoUnit.SECONDS);
    file = folder.resolve(now.toString().replace(":", "") + ".jsonl");
    ObjectNode header = JSON.createObjectNode();
    header.put("date", now.toString()).put("machine", machine());
    header.put("instructions", InstructionSet.name());
    header.put("java", System.getProperty("java.vm.name"));
    header.put("java_version", System.getProperty("java.version"));
    String[] jars = System.getProperty("java.class.path").split(":", -1);
    for (String jar : jars) {
      String name = Path.of(jar).getFileName().toString();
      if (name.matches(
          "(pytorch|openblas|nd4j-native|dnnl|javacpp)-[0-9].*(?<!linux-x86_64)\\.jar")) {
        header.withArray("versions").add(name.replace(".jar", ""));
      }
    }
    write(header);
    System.err.printf(Locale.ROOT, "%s%n%n", header);
    System.err.printf(
        Locale.ROOT,
        "%-12s %4s %2s %4s %6s %-8s %9s %9s %6s %9s %9s %8s %8s %6s  %s%n",
        "workload",
        "",
        "t",
        "rank",
        "tokens",
        "ours",
        "ours ms",
        "peer ms",
        "ratio",
        "ours loss",
        "peer loss",
        "ours MB",
        "peer MB",
        "others",
        "peer");
  }

  /** Appends one row everywhere. */
  void add(Row row) {
    System.out.println(write(JSON.valueToTree(row)));
    System.err.printf(
        Locale.ROOT,
        "%-12s %4s %2d %4d %6d %-8s %9.1f %9.1f %6.2f %9.5f %9.5f %8.0f %8.0f %6.2f  %s%s%n",
        row.workload(),
        row.precision().label(),
        row.threads(),
        row.rank(),
        row.tokens(),
        row.oursBackend(),
        row.oursMs(),
        row.peerMs(),
        row.ratio(),
        row.oursLoss(),
        row.peerLoss(),
        row.oursPeakMb(),
        row.peerPeakMb(),
        row.othersCores(),
        row.peer(),
        row.lossesAgree() ? "" : "  LOSSES DISAGREE");
  }

  private String write(ObjectNode line) {
    try {
      Files.createDirectories(file.getParent());
      String text = JSON.writeValueAsString(line);
      Files.writeString(file, text + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      return text;
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write " + file, e);
    }
  }

  private static String machine() {
    String model = System.getProperty("os.arch");
    try {
      for (String line : Files.readAllLines(Path.of("/proc/cpuinfo"))) {
        if (line.startsWith("model name")) {
          model = line.substring(line.indexOf(':') + 1).strip();
          break;
        }
      }
    } catch (IOException e) {
      System.err.println("no /proc/cpuinfo: " + e.getMessage());
    }
    return Runtime.getRuntime().availableProcessors() + " × " + model;
  }
}
