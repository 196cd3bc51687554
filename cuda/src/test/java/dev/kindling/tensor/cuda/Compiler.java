package dev.kindling.tensor.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/** Compilers of this machine, where it has them; tests that need one are skipped aloud. */
final class Compiler {
  private static final Path KERNELS =
      Path.of("src/main/resources/dev/kindling/tensor/cuda").toAbsolutePath();
  private static final Path SHIM = Path.of("src/test/cpp/shim.cpp").toAbsolutePath();
  private static final Map<Boolean, Path> SHIMS = new ConcurrentHashMap<>();

  private Compiler() {}

  /** The path of a program; skips the test if there is none. */
  static String require(String program, String what) {
    Optional<Path> found =
        Stream.of(System.getenv("PATH").split(":", -1))
            .map(folder -> Path.of(folder, program))
            .filter(Files::isExecutable)
            .findFirst();
    if (found.isEmpty()) {
      System.err.println("NOT TESTED, for there is no " + program + " here: " + what);
    }
    assumeTrue(found.isPresent(), () -> "no " + program + ": " + what);
    return found.orElseThrow().toString();
  }

  /** The kernels as a program for the CPU, compiled once. */
  static Path shim(boolean bf16) {
    String compiler = require("g++", "kernels on the CPU");
    return SHIMS.computeIfAbsent(
        bf16,
        half -> {
          Path program = Path.of("target", half ? "shim-bf16" : "shim-fp32").toAbsolutePath();
          List<String> command =
              new ArrayList<>(
                  List.of(
                      compiler,
                      "-O2",
                      "-U_FORTIFY_SOURCE",
                      "-Wall",
                      "-Wextra",
                      "-Wno-unknown-pragmas"));
          command.addAll(List.of("-Werror", "-I" + KERNELS));
          command.addAll(Sources.options(half));
          Path own =
              program.resolveSibling(program.getFileName() + "-" + ProcessHandle.current().pid());
          command.addAll(List.of("-o", own.toString(), SHIM.toString()));
          run(command);
          return moved(own, program);
        });
  }

  /** In one go: tests in another JVM may be running the same program. */
  private static Path moved(Path from, Path to) {
    try {
      return Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Runs a compiler that must have nothing to say against it. */
  static void run(List<String> command) {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new AssertionError(String.join(" ", command) + "\n" + said);
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }
}
