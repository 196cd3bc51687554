package dev.kindling.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A run of the launcher script in a process of its own, as a person would start it.
 *
 * @param code exit code
 * @param stdout all of it
 * @param stderr all of it
 */
record Launched(int code, String stdout, String stderr) {
  private static final Path HOME = Path.of("..").toAbsolutePath().normalize();

  /** Runs {@code submit/kindling} with the embedded Spark. */
  static Launched kindling(String... arguments) {
    return kindling(List.of(arguments), Map.of());
  }

  static Launched kindling(List<String> arguments, Map<String, String> environment) {
    List<String> command = new ArrayList<>(List.of(HOME.resolve("submit/kindling").toString()));
    command.addAll(arguments);
    try {
      Path out = Files.createTempFile("kindling-out", ".json");
      Path err = Files.createTempFile("kindling-err", ".log");
      ProcessBuilder builder =
          new ProcessBuilder(command)
              .redirectOutput(out.toFile())
              .redirectError(err.toFile())
              .redirectInput(Path.of("/dev/null").toFile());
      builder.environment().remove("SPARK_HOME");
      builder.environment().putAll(environment);
      Process process = builder.start();
      if (!process.waitFor(20, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        throw new IllegalStateException(
            "still running after 20 minutes:\n" + Files.readString(err));
      }
      Launched done =
          new Launched(process.exitValue(), Files.readString(out), Files.readString(err));
      Files.delete(out);
      Files.delete(err);
      return done;
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The one object on stdout. */
  JsonNode json() {
    try {
      return new ObjectMapper().readTree(stdout);
    } catch (IOException e) {
      throw new IllegalStateException("stdout is not JSON: " + stdout + "\n" + stderr, e);
    }
  }
}
