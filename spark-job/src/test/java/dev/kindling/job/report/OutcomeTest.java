package dev.kindling.job.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Command;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A submission is told of its own end, and of nobody else's. */
class OutcomeTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path temp;

  private JobConfig config(String... more) {
    List<String> settings =
        new java.util.ArrayList<>(
            List.of(
                "base.path=hdfs://b",
                "data.train=hdfs://t",
                "train.steps=5",
                "output=" + temp.resolve("out")));
    settings.addAll(List.of(more));
    return JobConfig.of(ConfigSource.read(Optional.empty(), settings), Command.TRAIN);
  }

  private static Outcome outcome(JobConfig config, String submission) throws IOException {
    return Outcome.of(config, submission, new Configuration());
  }

  private void finished(JobConfig by, String submission) throws IOException {
    ObjectNode manifest = JSON.createObjectNode();
    manifest.set("config", JSON.valueToTree(by.source().identity()));
    manifest.put("submission", submission);
    manifest.putObject("result").put("steps", 5);
    Files.createDirectories(temp.resolve("out"));
    Files.writeString(temp.resolve("out/_SUCCESS"), manifest.toString());
  }

  private static ObjectNode failure() {
    ObjectNode said = JSON.createObjectNode();
    said.putObject("error").put("exitCode", 3);
    return said;
  }

  /** What was there before counts where the run would have been content with it. */
  @ParameterizedTest
  @CsvSource({
    "older, resume, true",
    "older, require-resume, true",
    "older, overwrite, false",
    "mine, overwrite, true",
    "mine, fail-if-exists, true",
    "older, fail-if-exists, false"
  })
  void read_resultOfTheSameConfiguration(String by, String mode, boolean told) throws IOException {
    JobConfig config = config("output-mode=" + mode);
    finished(config, by);
    assertThat(outcome(config, "mine").read().isPresent()).isEqualTo(told);
  }

  @Test
  void read_olderResultOfAnotherConfiguration_saysNothing() throws IOException {
    finished(config("train.seed=1"), "older");
    assertThat(outcome(config(), "mine").read()).isEmpty();
  }

  @Test
  void read_failure_isToldToItsOwnSubmissionAlone() throws IOException {
    JobConfig config = config();
    assertThat(outcome(config, "mine").failed(failure())).isTrue();
    assertThat(outcome(config, "other").read()).isEmpty();
    Optional<ObjectNode> told = outcome(config, "mine").read();
    assertThat(told).hasValue(failure());
    finished(config, "mine"); // by a second attempt
    assertThat(outcome(config, "mine").read().orElseThrow().get("steps").asInt()).isEqualTo(5);
  }

  @Test
  void failed_besideAResultOrAmongOthersFiles_leavesThemAlone() throws IOException {
    JobConfig config = config();
    finished(config("train.seed=1"), "older");
    assertThat(outcome(config, "mine").failed(failure())).isFalse();
    Files.delete(temp.resolve("out/_SUCCESS"));
    Files.writeString(temp.resolve("out/thesis.tex"), "years of work");
    assertThat(outcome(config, "mine").failed(failure())).isFalse();
    assertThat(temp.resolve("out/_FAILED.json")).doesNotExist();
  }
}
