package dev.kindling.job.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.resume.Stop;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A command run in this JVM on an embedded Spark: all of the job but the launcher's shell.
 *
 * @param code exit code
 * @param stdout all of it
 */
public record InProcess(int code, String stdout) {
  /** Runs a command on {@code local[cores]}. */
  public static InProcess kindling(int cores, List<String> arguments) {
    return kindling(cores, arguments, new Stop(false));
  }

  /** The same, which may be asked to stop. */
  public static InProcess kindling(int cores, List<String> arguments, Stop stop) {
    System.setProperty("spark.master", "local[" + cores + "]");
    System.setProperty("spark.ui.enabled", "false");
    System.setProperty("spark.sql.shuffle.partitions", "2");
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    PrintStream stdout = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    int code = Kindling.run(arguments.toArray(new String[0]), stdout, stop);
    return new InProcess(code, bytes.toString(StandardCharsets.UTF_8));
  }

  /** Runs a command on two cores. */
  public static InProcess kindling(String... arguments) {
    return kindling(2, List.of(arguments));
  }

  /** The one object on stdout. */
  public JsonNode json() {
    try {
      return new ObjectMapper().readTree(stdout);
    } catch (IOException e) {
      throw new IllegalStateException("stdout is not JSON: " + stdout, e);
    }
  }

  /** All messages of a failure. */
  public String messages() {
    StringBuilder text = new StringBuilder();
    json().at("/error/messages").forEach(m -> text.append(m.asText()).append('\n'));
    return text.toString();
  }
}
