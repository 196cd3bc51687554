package dev.kindling.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.InvalidInput;
import org.apache.spark.SparkException;
import org.junit.jupiter.api.Test;

/** Why a run ended, where a task knows. */
class ExitCodeTest {
  @Test
  void cause_taskThatRefused_isJudgedByItsOwnWords() {
    InvalidInput refused = new InvalidInput("the GPU's memory", "9 MB are free", "a larger one");
    Throwable cause =
        ExitCode.cause(new SparkException("Job aborted", new IllegalStateException(refused)));
    assertThat(ExitCode.of(cause)).isEqualTo(ExitCode.INPUT);
    assertThat(ExitCode.messages(cause)).containsExactly(refused.getMessage());
  }

  @Test
  void cause_anyOther_staysAsItIs() {
    SparkException lost = new SparkException("Job aborted", new IllegalStateException("lost"));
    assertThat(ExitCode.cause(lost)).isSameAs(lost);
    IllegalStateException ours = new IllegalStateException(new InvalidInput("a", "b", "c"));
    assertThat(ExitCode.cause(ours)).isSameAs(ours);
    assertThat(ExitCode.of(lost)).isEqualTo(ExitCode.UNEXPECTED);
  }
}
