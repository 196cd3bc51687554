package dev.kindling.job.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import dev.kindling.job.config.Data.Format;
import dev.kindling.job.config.JobConfig.Command;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.optim.OptimizerSettings.Kind;
import dev.kindling.optim.Schedule.Curve;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the keys mean, what the defaults are, and that all problems come at once. */
class JobConfigTest {
  private static final String[] LEAST = {
    "base.path=b", "data.train=t", "train.steps=5", "output=o"
  };

  private static ConfigSource source(String... overrides) {
    return ConfigSource.read(Optional.empty(), List.of(overrides));
  }

  private static JobConfig train(String... more) {
    return JobConfig.of(
        source(Stream.of(LEAST, more).flatMap(Stream::of).toArray(String[]::new)), Command.TRAIN);
  }

  private static List<String> problems(Command command, String... overrides) {
    ConfigProblems problems =
        catchThrowableOfType(ConfigProblems.class, () -> JobConfig.of(source(overrides), command));
    return problems.problems();
  }

  /** A default is public: whoever changes one must change it here too. */
  @Test
  void defaults_leastConfiguration_areTheDocumentedOnes() {
    JobConfig config = train();
    assertThat(config.task()).isEqualTo(JobConfig.Task.AUTO);
    assertThat(config.adapter())
        .isEqualTo(
            new Adapter(
                8,
                16,
                Scaling.STANDARD,
                LayerPatterns.NONE,
                false,
                new Sampling(Map.of(), 8, 200, true),
                0,
                Initialiser.KAIMING,
                Halves.BOTH,
                Ranks.Use.FIXED,
                new TargetModules.Blocks(),
                Optional.empty(),
                Optional.empty(),
                List.of()));
    assertThat(config.data())
        .isEqualTo(
            new Data(
                Optional.of("t"),
                Optional.empty(),
                0,
                Optional.empty(),
                Optional.empty(),
                Data.BadRow.FAIL,
                Format.AUTO,
                "text",
                "label",
                Data.Split.AUTO,
                Optional.empty(),
                false,
                true));
    assertThat(config.base())
        .isEqualTo(new Base("b", Storage.FP32, false, Base.Delivery.BROADCAST));
    assertThat(config.compute())
        .isEqualTo(
            new Compute(
                Compute.Backend.AUTO,
                Precision.FP32,
                1,
                new PlanChooser.FewestFlops(),
                32,
                8,
                0,
                Compute.Recompute.NONE,
                false));
    assertThat(config.generation()).isEmpty();
    assertThat(
            JobConfig.of(source("base.path=b", "prompt=[Enter three Witches]"), Command.GENERATE)
                .generation())
        .contains(new JobConfig.Generation("[Enter three Witches]", 128, 0, 1, 0));
    Training training = config.training().orElseThrow();
    assertThat(training.maxGradNorm()).isZero();
    assertThat(training.kind()).isEqualTo(Kind.ADAMW);
    assertThat(training.learningRate()).isEqualTo(2e-4);
    assertThat(training.weightDecay()).isZero();
    assertThat(training.beta1()).isEqualTo(0.9);
    assertThat(training.beta2()).isEqualTo(0.999);
    assertThat(training.epsilon()).isEqualTo(1e-8);
    assertThat(training.curve()).isEqualTo(Curve.CONSTANT);
    assertThat(training.warmupSteps()).isZero();
    assertThat(config.output().orElseThrow())
        .isEqualTo(new Output("o", Output.Mode.RESUME, 100, 3));
  }

  /** seed for train.seed would be a run with another seed, in silence. */
  @Test
  void generationKeys_inTraining_areRefused() {
    assertThat(
            problems(
                Command.TRAIN,
                "base.path=b",
                "data.train=t",
                "train.steps=5",
                "output=o",
                "seed=7",
                "prompt=p"))
        .containsExactlyInAnyOrder(
            "seed is for generate: did you mean train.seed?",
            "prompt is for generate: leave it out");
  }

  @Test
  void microBatch_batchBelowEight_isTheBatch() {
    assertThat(train("train.global-batch-size=3").compute().microBatch()).isEqualTo(3);
    assertThat(train("train.micro-batch-size=5").compute().parts()).isEqualTo(7); // ⌈32/5⌉
  }

  @ParameterizedTest
  @CsvSource({"3, 6432, 32, 603", "1, 10, 10, 1", "0.5, 11, 2, 3", "1, 11, 4, 3"})
  void totalSteps_epochs_isTheCeiling(double epochs, long examples, int batch, long steps) {
    JobConfig config =
        JobConfig.of(
            source("base.path=b", "data.train=t", "output=o", "train.epochs=" + epochs),
            Command.TRAIN);
    assertThat(config.training().orElseThrow().totalSteps(examples, batch)).isEqualTo(steps);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "s3a://bucket/a=b/model",
        "hdfs://host:8020/base",
        "maven:g:a:1.0",
        "local[2]",
        ".*\\.(query|value)",
        "#not-a-comment",
        "${HOME}/x",
        "a, b"
      })
  void override_plainValue_isTakenAsItStands(String value) {
    assertThat(source("base.path=" + value).all().getString("base.path")).isEqualTo(value);
  }

  @Test
  void override_bracketBraceOrQuote_isHocon() {
    JobConfig config = train("adapter.target-modules=[query, \"value\"]");
    assertThat(config.adapter().targets())
        .isEqualTo(new TargetModules.Names(List.of("query", "value")));
    Config quoted = source("base.path=\"a b\"", "adapter={r=3, alpha=5}").all();
    assertThat(quoted.getString("base.path")).isEqualTo("a b");
    assertThat(quoted.getInt("adapter.r")).isEqualTo(3);
  }

  @Test
  void override_plainTargetModules_isOneRegularExpression() {
    TargetModules targets = train("adapter.target-modules=.*query").adapter().targets();
    assertThat(targets).isInstanceOf(TargetModules.Regex.class);
    assertThat(train("adapter.target-modules=all-linear").adapter().targets())
        .isEqualTo(new TargetModules.AllLinear());
  }

  @Test
  void override_afterFileAndAfterItself_lastOneCounts(@TempDir Path temp) throws IOException {
    Path file = temp.resolve("a.conf");
    Files.writeString(file, "adapter.r = 2\nadapter { r = 3, alpha = 7 }\n");
    Config read = ConfigSource.read(Optional.of(file), List.of("adapter.r=4", "adapter.r=5")).all();
    assertThat(read.getInt("adapter.r")).isEqualTo(5);
    assertThat(read.getInt("adapter.alpha")).isEqualTo(7);
    assertThat(ConfigSource.read(Optional.of(file), List.of()).all().getInt("adapter.r"))
        .isEqualTo(3);
  }

  @Test
  void unknownKey_near_namesTheNearest() {
    assertThat(problems(Command.TRAIN, "adapter.rnak=1", "optimiser.learning-rate=1"))
        .contains(
            "adapter.rnak: no such key; did you mean adapter.r?",
            "optimiser.learning-rate: no such key; did you mean optimizer.learning-rate?");
  }

  /** null hides a default in HOCON: it must not become some other value in silence. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "optimizer.learning-rate",
        "optimizer.warmup-steps",
        "train.global-batch-size",
        "train.seed",
        "train.recompute",
        "data.shuffle",
        "data.packing",
        "data.split",
        "adapter.r",
        "base.storage",
        "compute.threads"
      })
  void default_hiddenByNull_isRefused(String key, @TempDir Path folder) throws IOException {
    Path file = folder.resolve("job.conf");
    Files.writeString(
        file, "base.path=b, data.train=t, train.steps=5, output=o, " + key + " = null");
    ConfigSource source = ConfigSource.read(Optional.of(file), List.of());
    ConfigProblems problems =
        catchThrowableOfType(ConfigProblems.class, () -> JobConfig.of(source, Command.TRAIN));
    assertThat(problems.problems()).containsExactly(key + " is null: leave it out for its default");
  }

  @Test
  void problems_many_areAllListed() {
    assertThat(
            problems(
                Command.TRAIN,
                "adapter.r=0",
                "adapter.alpha=-1",
                "adapter.dropout=1",
                "adapter.target-modules=(",
                "train.steps=1",
                "train.epochs=1",
                "train.seed=x",
                "optimizer.name=adam",
                "optimizer.learning-rate=nan",
                "optimizer.warmup-steps=-1",
                "data.format=prose",
                "train.precision=fp8",
                "nonsense=1"))
        .hasSize(15)
        .anyMatch(p -> p.startsWith("base.path is missing"))
        .anyMatch(p -> p.startsWith("data.train is missing"))
        .anyMatch(p -> p.startsWith("output is missing"))
        .contains(
            "set exactly one of train.steps and train.epochs",
            "optimizer.name is 'adam': expected adamw | sgd",
            "adapter.dropout is 1.0: expected a number from 0 to below 1");
  }

  /** Products that round would lose small changes of a weight. */
  @Test
  void precision_tf32_isForGpusAndChangesNoBase() {
    assertThat(problems(Command.TRAIN, "train.precision=tf32"))
        .contains("train.precision = tf32 is for compute.backend = cuda: elsewhere fp32 or bf16");
    String[] onGpus = {"train.precision=tf32", "compute.backend=cuda", "plan.chooser=fixed:f2b5"};
    assertThat(problems(Command.TRAIN, onGpus))
        .noneMatch(p -> p.startsWith("train.precision") || p.startsWith("plan"));
    assertThat(
            problems(
                Command.TRAIN,
                onGpus[0],
                onGpus[1],
                "base.path=b",
                "data.train=t",
                "output=o",
                "train.steps=4",
                "method=cola"))
        .anyMatch(p -> p.startsWith("train.precision = tf32: merge.links = 3 adds to the frozen"));
  }

  @Test
  void evaluate_needsOnlyBaseAndValidation_andAcceptsTheRest() {
    assertThat(problems(Command.EVALUATE)).hasSize(2);
    JobConfig config =
        JobConfig.of(
            source("base.path=b", "data.validation=v", "optimizer.name=sgd", "output=o"),
            Command.EVALUATE);
    assertThat(config.training()).isEmpty();
  }

  @Test
  void encode_decode_keepsEverythingTheUserSet() {
    ConfigSource source = source("base.path=s3a://a?b=ü", "adapter.target-modules=[a, b]");
    assertThat(ConfigSource.decode(source.encode()).all().root()).isEqualTo(source.all().root());
    assertThat(source.encode()).matches("[A-Za-z0-9_-]+");
  }

  @Test
  void identity_sameMeaningOtherSpelling_isTheSame() {
    assertThat(source("optimizer.learning-rate=1e-3", "output=a").identity())
        .isEqualTo(source("optimizer={learning-rate=0.0010}", "output=b").identity());
    assertThat(source("adapter.r=8").identity()).isEqualTo(source().identity());
    assertThat(source("adapter.r=9").identity()).isNotEqualTo(source().identity());
  }

  static Stream<Path> recipes() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("../conf"))) {
      return files
          .filter(p -> p.toString().endsWith(".conf") && !p.endsWith("methods.conf"))
          .toList()
          .stream();
    }
  }

  /**
   * Every recipe that we ship can be run as it is; the reference lacks only what has no default.
   */
  @ParameterizedTest
  @MethodSource("recipes")
  void recipe_everyFileInConf_isValid(Path recipe) {
    ConfigSource source = ConfigSource.read(Optional.of(recipe), List.of());
    assertThat(source.unknownKeys()).isEmpty();
    if (!recipe.endsWith("reference.conf")) {
      assertThat(JobConfig.of(source, Command.TRAIN).base().path()).isNotEmpty();
    }
  }

  @Test
  void reference_resourceAndFile_areTheSame() {
    assertThat(ConfigFactory.parseFile(Path.of("../conf/reference.conf").toFile()))
        .isEqualTo(
            ConfigFactory.parseResources(
                JobConfigTest.class.getClassLoader(), "kindling/reference.conf"));
  }

  /** What is explained from a result folder is the run that made it. */
  @Test
  void kept_ofARenderedConfiguration_isTheSameRunWithoutItsDefaults() {
    ConfigSource given =
        source("base.path=b", "adapter.r=9", "adapter.alpha=16.0", "adapter.target-modules=[q, v]");
    ConfigSource kept = ConfigSource.kept(given.render());
    assertThat(kept.identity()).isEqualTo(given.identity());
    assertThat(kept.user().hasPath("adapter.r")).isTrue();
    assertThat(kept.user().hasPath("adapter.alpha")).as("the default").isFalse();
    assertThat(kept.user().hasPath("seed")).as("generate's").isFalse();
    assertThat(source("adapter.r=4").over(kept).all().getInt("adapter.r")).isEqualTo(4);
  }

  @Test
  void explain_needsWhatTrainNeeds_butNoOutput() {
    assertThat(problems(Command.EXPLAIN, "base.path=b"))
        .anyMatch(p -> p.startsWith("data.train is missing"))
        .anyMatch(p -> p.startsWith("set exactly one of train.steps"))
        .noneMatch(p -> p.startsWith("output"));
    assertThat(JobConfig.of(source(LEAST[0], LEAST[1], LEAST[2]), Command.EXPLAIN).output())
        .isEmpty();
  }

  @Test
  void chooser_measured_chosesByOperationsUntilItHasMeasured() {
    assertThat(train("plan.chooser=measured").compute().measures()).isTrue();
    assertThat(train().compute().measures()).isFalse();
  }

  /** What a method sets are keys that there are, with values that they can have. */
  @ParameterizedTest
  @MethodSource("dev.kindling.job.config.Methods#names")
  void method_anyName_setsWhatThereIs(String name) {
    Config settings =
        ConfigFactory.parseFile(new File("../conf/methods.conf")).getConfig("methods." + name);
    List<String> overrides = new ArrayList<>(List.of("base.path=b", "data.train=t", "output=o"));
    overrides.addAll(List.of("train.steps=1", "method=" + name));
    settings.entrySet().forEach(e -> overrides.add(e.getKey() + "=" + e.getValue().unwrapped()));
    ConfigSource source = ConfigSource.read(Optional.empty(), overrides);
    assertThat(source.unknownKeys()).isEmpty();
    assertThat(JobConfig.of(source, Command.TRAIN)).isNotNull();
    List<String> named = overrides.subList(0, 5);
    assertThat(ConfigSource.read(Optional.empty(), named).identity()).isEqualTo(source.identity());
  }

  /** 7/8 of the ranks learn beside sampled gradients, and as many singular vectors are exact. */
  @ParameterizedTest
  @CsvSource({"1,1", "4,4", "8,7", "16,14", "64,56"})
  void adapter_ceLora_learnsSevenEighthsOfItsRanks(int r, int learned) {
    JobConfig config = train("method=ce-lora", "adapter.r=" + r);
    assertThat(config.adapter().r()).isEqualTo(learned);
    assertThat(config.adapter().sampling().rank()).isEqualTo(learned);
  }
}
