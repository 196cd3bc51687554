package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The script as people and schedulers use it: arguments, streams and exit codes. */
class LauncherIT {
  @TempDir Path temp;

  @Test
  void evaluate_goldenCase_printsOneObjectAndNothingElse() {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Launched run =
        Launched.kindling(
            "evaluate",
            "base.path=" + bert.folder(),
            "adapter.init-from=" + bert.path("adapter"),
            "data.validation=" + bert.path("data.jsonl"));
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.stdout().strip().lines()).hasSize(1);
    double expected = bert.settings().at("/expected/eval.loss").asDouble();
    assertThat(run.json().get("loss").asDouble())
        .isBetween(expected * (1 - 1e-5), expected * (1 + 1e-5));
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope-tied", "qwen2", "llama-bf16-sharded", "gpt2"})
  void train_goldenDecoder_followsPyTorch(String name) {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("out");
    Launched run = Launched.kindling(golden.train(output).toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    List<Double> losses = GoldenFolder.losses(output);
    for (int i = 0; i < losses.size(); i++) {
      assertThat(losses.get(i)).isCloseTo(golden.expectedLosses().get(i), offset(1e-4));
    }
    assertThat(golden.shareOff(output)).isBetween(0.0, 0.001);
  }

  /** The example that the README shows: one object on stdout, the text on stderr. */
  @Test
  void generate_exampleModel_continuesThePrompt() {
    Launched run =
        Launched.kindling(
            "generate", "base.path=../examples/tiny-llama", "prompt=a kind of", "max-tokens=8");
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.stdout().strip().lines()).hasSize(1);
    String text = run.json().get("text").asText();
    assertThat(text).isNotBlank();
    assertThat(run.stderr()).contains("a kind of" + text);
  }

  @Test
  void train_configFileAndOverrides_areResolvedWhereTheyAreSubmitted() throws IOException {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path file = temp.resolve("job.conf");
    Files.writeString(
        file,
        """
        base.path = "%s"
        data.train = "%s"
        train { steps = 2, global-batch-size = 5 }
        output = "%s"
        """
            .formatted(bert.folder(), bert.path("data.jsonl"), temp.resolve("out")));
    Launched run =
        Launched.kindling(
            "train", file.toString(), "adapter.target-modules=.*\\.(query|value)", "train.steps=3");
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.json().get("steps").asInt()).isEqualTo(3);
    assertThat(run.json().get("validation").isNull()).isTrue();
    assertThat(temp.resolve("out/adapter/adapter_config.json")).content().contains("(query|value)");
  }

  @Test
  void explain_tellsPeopleATreeAndSchedulersAnObject() {
    GoldenFolder llama = GoldenFolder.copy("llama-gqa", temp);
    List<String> words = new ArrayList<>(llama.train(temp.resolve("out")));
    words.set(0, "explain");
    Launched run = Launched.kindling(words.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.json().at("/seconds/step").asDouble()).isPositive();
    assertThat(run.stderr())
        .contains("== Plan of the run ==", "+- Memory of an executor:", "fewer operations than");
  }

  @Test
  void failures_exitCodes_areTheDocumentedOnes() {
    Launched config = Launched.kindling("train", "base.pth=x");
    assertThat(config.code()).isEqualTo(2);
    assertThat(config.stdout().strip().lines()).hasSize(1);
    assertThat(config.stderr()).contains("base.pth: no such key; did you mean base.path?");
    assertThat(config.stderr()).doesNotContain("\tat ");

    Launched input =
        Launched.kindling("evaluate", "base.path=/nowhere", "data.validation=/nowhere");
    assertThat(input.code()).isEqualTo(3);
    assertThat(input.json().at("/error/exitCode").asInt()).isEqualTo(3);

    Launched debug =
        Launched.kindling("evaluate", "base.path=/nowhere", "data.validation=/no", "--debug");
    assertThat(debug.code()).isEqualTo(3);
    assertThat(debug.stderr()).contains("\tat ");
  }

  /** Even where no job has begun, stdout has its one object and stderr no stack of ours. */
  @Test
  void launcherFailures_haveOneObjectToo() {
    Launched noSpark =
        Launched.kindling(List.of("evaluate"), Map.of("SPARK_HOME", temp.toString()));
    assertThat(noSpark.code()).isEqualTo(2);
    assertThat(noSpark.json().at("/error/messages/0").asText()).contains("bin/spark-submit");

    Launched noJava = Launched.kindling(List.of("evaluate"), Map.of("JAVA_HOME", temp.toString()));
    assertThat(noJava.code()).isEqualTo(1);
    assertThat(noJava.json().at("/error/kind").asText()).isEqualTo("unexpected");

    Launched noValue = Launched.kindling("--master");
    assertThat(noValue.code()).isEqualTo(2);
    assertThat(noValue.json().at("/error/messages/0").asText()).contains("--master needs a value");

    Launched heap =
        Launched.kindling("--driver-memory", "1m", "evaluate", "base.path=b", "data.validation=v");
    assertThat(heap.code()).isEqualTo(1);
    assertThat(heap.json().at("/error/exitCode").asInt()).isEqualTo(1);
  }

  @Test
  void help_printsUsageToStderr() {
    Launched help = Launched.kindling("--help");
    assertThat(help.code()).isZero();
    assertThat(help.stdout()).isEmpty();
    assertThat(help.stderr()).contains("spark-submit options go before the command");
  }

  /** With SPARK_HOME that Spark's own spark-submit is called, and its options arrive untouched. */
  @Test
  void sparkHome_isUsedAndOptionsPassThrough() throws IOException {
    Path home = Files.createDirectories(temp.resolve("spark/bin")).getParent();
    Path embedded = Path.of("../submit/embedded-spark/target/spark-home/jars").toRealPath();
    Files.createSymbolicLink(home.resolve("jars"), embedded);
    Path submit = home.resolve("bin/spark-submit");
    Files.writeString(submit, "#!/bin/sh\nfor a in \"$@\"; do echo \"$a\"; done\nexit 7\n");
    assertThat(submit.toFile().setExecutable(true)).isTrue();
    List<String> arguments =
        new ArrayList<>(
            List.of("--master", "yarn", "--name", "train", "--conf", "x=y z", "--verbose"));
    arguments.addAll(List.of("evaluate", "base.path=b c", "data.validation=v"));
    Launched run = Launched.kindling(arguments, Map.of("SPARK_HOME", home.toString()));
    assertThat(run.code()).isEqualTo(7);
    assertThat(run.json().at("/error/messages/0").asText()).contains("spark-submit ended with 7");
    List<String> words = run.stderr().lines().toList();
    assertThat(words)
        .containsSubsequence("--master", "yarn", "--name", "train", "--conf", "x=y z", "--verbose")
        .contains("--class", "dev.kindling.job.cli.Kindling", "evaluate", "--resolved")
        .doesNotContain("local[*]");
  }

  /**
   * Counted for executors of so many tasks, then submitted: what comes before --sized, as from a
   * profile, loses, what comes after it wins.
   */
  @Test
  void sized_train_isGivenWhatItNeeds() throws IOException {
    Path home = Files.createDirectories(temp.resolve("spark/bin")).getParent();
    Path embedded = Path.of("../submit/embedded-spark").toRealPath();
    Files.createSymbolicLink(home.resolve("jars"), embedded.resolve("target/spark-home/jars"));
    Path submit = home.resolve("bin/spark-submit");
    Path asked = temp.resolve("asked");
    Files.writeString(
        submit,
        "#!/bin/sh\necho \"$@\" >>%s\nSPARK_HOME=%s exec %s \"$@\"\n"
            .formatted(
                asked, embedded.resolve("target/spark-home"), embedded.resolve("spark-submit")));
    assertThat(submit.toFile().setExecutable(true)).isTrue();
    Map<String, String> environment = Map.of("SPARK_HOME", home.toString());
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--master",
                "local-cluster[1,2,1200]",
                "--executor-cores",
                "2",
                "--conf",
                "spark.executor.memory=9g",
                "--sized",
                "--conf",
                "spark.driver.memory=1100m"));
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    arguments.addAll(golden.train(temp.resolve("sized"), "output-mode=overwrite"));
    Launched run = Launched.kindling(arguments, environment);
    assertThat(run.code()).as(run.stderr()).isZero();
    List<String> submitted = Files.readAllLines(asked);
    assertThat(submitted).hasSize(2);
    assertThat(submitted.get(0)).contains("--master local[2]", " explain ", "--sizes");
    assertThat(submitted.get(1))
        .contains(" train ")
        .containsPattern(
            "memory=9g .*executor.memory=1024m .*executor.memoryOverhead=7[67]\\dm"
                + ".*driver.memory=1100m");

    List<String> broken =
        List.of("--master", "yarn", "--executor-cores", "1", "--sized", "train", "base.path=/no");
    Launched refused = Launched.kindling(broken, environment);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.json().at("/error/messages").toString()).contains("data.train");
    assertThat(Launched.kindling("--sized", "train", "a.conf").json().toString())
        .contains("--sized is for clusters");
    assertThat(
            Launched.kindling("--master", "yarn", "--sized", "train", "a.conf").json().toString())
        .contains("--sized needs --executor-cores");
    assertThat(Launched.kindling("--sized", "verify", "a").json().toString())
        .contains("--sized is for train");
  }
}
