package dev.kindling.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/**
 * A run of the launcher script in a process of its own, as a person would start it.
 *
 * @param code exit code
 * @param stdout all of it
 * @param stderr all of it
 */
record Launched(int code, String stdout, String stderr) {
  private static final int MINUTES = 20;

  /** Runs {@code submit/kindling} with the embedded Spark. */
  static Launched kindling(String... arguments) {
    return kindling(List.of(arguments), Map.of());
  }

  static Launched kindling(List<String> arguments) {
    return kindling(arguments, Map.of());
  }

  static Launched kindling(List<String> arguments, Map<String, String> environment) {
    try (Running run = Running.kindling(arguments, environment)) {
      return run.end(MINUTES);
    } catch (Exception e) {
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
