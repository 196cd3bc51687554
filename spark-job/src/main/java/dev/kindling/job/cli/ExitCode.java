package dev.kindling.job.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.job.broadcast.DoesNotFit;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.resume.Preempted;
import dev.kindling.job.storage.StorageFailed;
import dev.kindling.job.sync.Diverged;
import java.util.List;
import java.util.Locale;
import org.apache.spark.SparkException;

/** Why the process ended: for schedulers, which read nothing else. */
enum ExitCode {
  /** Done, or already done by the same configuration. */
  DONE(0),
  /** A defect, or a failure of the cluster. */
  UNEXPECTED(1),
  /** The configuration cannot be run. */
  CONFIG(2),
  /** Base, adapter, data or an engine is missing or invalid, or a device is full. */
  INPUT(3),
  /** The plan does not fit the executors' memory. */
  DOES_NOT_FIT(4),
  /** Loss or gradient is not finite. */
  DIVERGED(5),
  /** The result or a checkpoint could not be written: storage is full, gone or refuses. */
  STORAGE(6),
  /** Asked to stop by SIGTERM or SIGINT; the same command goes on. */
  PREEMPTED(10);

  private final int code;

  ExitCode(int code) {
    this.code = code;
  }

  int code() {
    return code;
  }

  static ExitCode of(Throwable failure) {
    if (failure instanceof ConfigProblems) {
      return CONFIG;
    }
    if (failure instanceof InvalidInput) {
      return INPUT;
    }
    if (failure instanceof DoesNotFit) {
      return DOES_NOT_FIT;
    }
    if (failure instanceof StorageFailed) {
      return STORAGE;
    }
    if (failure instanceof Preempted) {
      return PREEMPTED;
    }
    return failure instanceof Diverged ? DIVERGED : UNEXPECTED;
  }

  /** What a failure is to be judged by: a task's own, if Spark tells of one that we know. */
  static Throwable cause(Throwable failure) {
    if (failure instanceof SparkException) {
      for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
        if (of(cause) != UNEXPECTED) {
          return cause;
        }
      }
    }
    return failure;
  }

  /** What stdout says of a failure. */
  ObjectNode json(Throwable failure) {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode node = mapper.createObjectNode();
    ObjectNode error = node.putObject("error");
    error.put("exitCode", code);
    error.put("kind", name().toLowerCase(Locale.ROOT));
    error.set("messages", mapper.valueToTree(messages(failure)));
    return node;
  }

  static List<String> messages(Throwable failure) {
    if (failure instanceof ConfigProblems config) {
      return config.problems();
    }
    String text = failure.getMessage() == null ? failure.toString() : failure.getMessage();
    boolean ours = of(failure) != UNEXPECTED;
    String type = failure.getClass().getSimpleName() + ": ";
    return List.of(ours ? text : type + text.lines().findFirst().orElse(""));
  }
}
