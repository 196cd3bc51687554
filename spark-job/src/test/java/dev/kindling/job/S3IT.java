package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.cli.InProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Base, adapter, data, checkpoints and result in an object store, behind a real S3 endpoint. */
class S3IT {
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");

  @TempDir Path temp;

  private static String[] settings() {
    return new String[] {
      "train.steps=60", "data.shuffle=true", "adapter.dropout=0.1", "checkpoint.every-steps=5"
    };
  }

  private static List<String> command(S3Endpoint s3, List<String> arguments) {
    List<String> command = new ArrayList<>(List.of("--master", "local[2]"));
    command.addAll(s3.options());
    command.addAll(arguments);
    return command;
  }

  /** The driver is killed once a few checkpoints are visible; the same command goes on. */
  @Test
  void train_everythingInS3_killedInMidRun_givesTheBytesOfALocalRun() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path whole = temp.resolve("whole");
    InProcess undisturbed = InProcess.kindling(1, bert.train(whole, settings()));
    assertThat(undisturbed.code()).as(undisturbed.stdout()).isZero();
    try (S3Endpoint s3 = new S3Endpoint(Files.createDirectory(temp.resolve("s3")))) {
      GoldenFolder.copy("bert", s3.bucket());
      List<String> train = bert.train(Path.of("replaced below"), settings());
      train.addAll(
          List.of(
              "base.path=s3a://bucket/bert",
              "base.delivery=storage",
              "adapter.init-from=s3a://bucket/bert/adapter",
              "data.train=s3a://bucket/bert/data.jsonl",
              "output=s3a://bucket/results/out"));
      Path output = s3.bucket().resolve("results/out");
      try (Running run = Running.kindling(command(s3, train))) {
        run.awaitFile(output.resolve("checkpoints/step-000000000015/checkpoint.json"));
        run.killDriver();
        assertThat(run.end().code()).isNotZero();
      }
      assertThat(output.resolve("_SUCCESS")).doesNotExist();
      Launched again = Launched.kindling(command(s3, train).toArray(new String[0]));
      assertThat(again.code()).as(again.stderr()).isZero();
      assertThat(again.stderr()).contains("going on after step");
      assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
      assertThat(GoldenFolder.losses(output)).isEqualTo(GoldenFolder.losses(whole)).hasSize(60);
      try (Stream<Path> kept = Files.list(output.resolve("checkpoints"))) {
        assertThat(kept.filter(p -> p.getFileName().toString().startsWith("step-"))).hasSize(3);
      }
      Launched verified =
          Launched.kindling(
              command(s3, List.of("verify", "s3a://bucket/results/out")).toArray(new String[0]));
      assertThat(verified.code()).as(verified.stderr()).isZero();
      Launched done = Launched.kindling(command(s3, train).toArray(new String[0]));
      assertThat(done.stderr()).contains("already done");
      assertThat(done.json()).isEqualTo(again.json());
    }
  }
}
