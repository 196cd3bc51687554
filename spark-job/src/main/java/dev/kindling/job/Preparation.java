package dev.kindling.job;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Labels;
import dev.kindling.data.TextTokenizer;
import dev.kindling.export.PeftAdapter;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Format;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.storage.Location;
import dev.kindling.job.sync.Cluster;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Base, adapter, classes and start values, read and checked against each other and against the
 * configuration; the ground that train and evaluate share.
 */
record Preparation(
    ModelPlan plan,
    AdapterLayout layout,
    Labels labels,
    float[] start,
    String baseDigest,
    Cluster cluster,
    int maxTokens,
    byte[] tokenizer) {
  private static final Logger LOG = LoggerFactory.getLogger(Preparation.class);

  /** What the adapter and head settings come from. */
  private record Parts(HfFolder base, Optional<PeftAdapter> adapter, ModelPlan outline) {
    /** The linear layer that gives the logits. */
    String head() {
      return outline.linears().get(outline.linears().size() - 1).name();
    }

    /** Classes of the head that adapter or base bring, if one does. */
    Optional<Integer> classes() {
      return adapter
          .flatMap(a -> a.outputs(head()))
          .or(() -> base.find(head() + ".weight").map(t -> Math.toIntExact(t.shape()[0])));
    }
  }

  static Preparation of(SparkSession session, JobConfig config, boolean trains) {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    var hadoop = spark.hadoopConfiguration();
    HfFolder base = HfFolder.open(new Location("base.path", config.basePath()).folder(hadoop));
    refuseOtherHeads(base.config());
    ModelPlan outline = Families.plan(base.config(), 1);
    Optional<PeftAdapter> adapter =
        config
            .adapter()
            .initFrom()
            .map(from -> PeftAdapter.open(new Location("adapter.init-from", from).folder(hadoop)));
    adapter.ifPresent(a -> refuseDifferingKeys(config.adapter(), a.settings()));
    Parts parts = new Parts(base, adapter, outline);
    int maxTokens = maxTokens(config, outline);
    byte[] tokenizer = tokenizer(base, config.data().format(), maxTokens);
    checkTargets(config, parts, trains);

    Labels labels = labels(session, config, parts, trains);
    ModelPlan plan = Families.plan(base.config(), labels.size());
    AdapterLayout layout =
        adapter
            .map(a -> a.layout(plan.linears(), dropout(config.adapter(), a.settings())))
            .orElseGet(() -> AdapterLayout.of(plan.linears(), settings(config, plan, trains)));
    requireHead(parts, layout);
    List<WeightSlot> slots = plan.weights(layout);
    String digest = base.digest(plan.weights());
    float[] start = adapter.map(a -> a.values(layout)).orElseGet(() -> fresh(base, layout, config));
    ModelSpec spec =
        ModelSpec.of(
            UUID.randomUUID().toString(),
            base.config().toString(),
            labels.size(),
            plan,
            layout,
            config.compute().seed(),
            config.compute().threads());
    Cluster cluster = new Cluster(spark, spec, WeightDelivery.of(spark, base, slots));
    return new Preparation(plan, layout, labels, start, digest, cluster, maxTokens, tokenizer);
  }

  /** A token classifier's head would be taken for a sequence classifier's. */
  private static void refuseOtherHeads(JsonNode config) {
    for (JsonNode architecture : config.path("architectures")) {
      String name = architecture.asText();
      if (!name.matches(".*(Model|ForMaskedLM|ForPreTraining|ForSequenceClassification)")
          || name.endsWith("LMHeadModel")) {
        throw new InvalidInput(
            "config.json",
            "architectures name " + name,
            "supported are encoders and sequence classifiers");
      }
    }
  }

  private static void refuseDifferingKeys(JobConfig.Adapter user, AdapterSettings folder) {
    List<String> problems = new ArrayList<>();
    for (String key : user.userSet()) {
      Object ours =
          switch (key) {
            case "r" -> user.r();
            case "alpha" -> user.alpha();
            case "target-modules" -> comparable(user.targets());
            case "modules-to-save" ->
                user.modulesToSave().orElse(List.of()).stream().sorted().toList();
            default -> null; // dropout may be changed
          };
      Object theirs =
          switch (key) {
            case "r" -> folder.r();
            case "alpha" -> folder.alpha();
            case "target-modules" -> comparable(folder.targets());
            case "modules-to-save" -> folder.modulesToSave().stream().sorted().toList();
            default -> null;
          };
      if (!Objects.equals(ours, theirs)) {
        problems.add(
            "adapter.%s is %s, but adapter.init-from says %s: leave the key out"
                .formatted(key, ours, theirs));
      }
    }
    ConfigProblems.check(problems);
  }

  private static Object comparable(TargetModules targets) {
    if (targets instanceof TargetModules.Names names) {
      return names.names().stream().sorted().toList();
    }
    return targets instanceof TargetModules.Regex regex ? regex.pattern().pattern() : targets;
  }

  /** The folder's, unless the user set another. */
  private static double dropout(JobConfig.Adapter user, AdapterSettings folder) {
    return user.userSet().contains("dropout") ? user.dropout() : folder.dropout();
  }

  private static int maxTokens(JobConfig config, ModelPlan outline) {
    int limit = outline.rules().maxTokens();
    int wanted = config.data().maxLength().orElse(limit);
    if (wanted > limit) {
      throw new ConfigProblems(
          List.of("data.max-length is " + wanted + ": the base's position table holds " + limit));
    }
    return wanted;
  }

  private static void checkTargets(JobConfig config, Parts parts, boolean trains) {
    if (parts.adapter.isEmpty() && trains) {
      ConfigProblems.check(
          AdapterLayout.problems(parts.outline.linears(), settings(config, parts.outline, true)));
    }
    if (parts.adapter.isEmpty() && !trains && parts.classes().isEmpty()) {
      throw new ConfigProblems(
          List.of("the base has no classification head to evaluate: set adapter.init-from"));
    }
  }

  /** Without an adapter, evaluation takes the base as it is. */
  private static AdapterSettings settings(JobConfig config, ModelPlan plan, boolean trains) {
    JobConfig.Adapter a = config.adapter();
    return new AdapterSettings(
        a.r(),
        a.alpha(),
        a.dropout(),
        trains ? a.targets() : new TargetModules.None(),
        a.modulesToSave().orElse(plan.head()));
  }

  private static Labels labels(
      SparkSession session, JobConfig config, Parts parts, boolean trains) {
    Optional<Integer> classes = parts.classes();
    if (classes.isEmpty()) {
      if (!trains) {
        throw new ConfigProblems(
            List.of("neither base nor adapter has a classification head to evaluate"));
      }
      return Examples.labels(
          session, new Location("data.train", config.data().train().orElseThrow()));
    }
    int n = classes.get();
    List<String> named = new ArrayList<>();
    JsonNode id2label = parts.base.config().path("id2label");
    for (int i = 0; i < id2label.size(); i++) {
      named.add(id2label.path(Integer.toString(i)).asText());
    }
    return new Labels(
        parts
            .adapter
            .flatMap(PeftAdapter::labels)
            .filter(known -> known.size() == n)
            .or(() -> named.size() == n ? Optional.of(named) : Optional.empty())
            .orElseGet(() -> IntStream.range(0, n).mapToObj(i -> "LABEL_" + i).toList()));
  }

  /** Every class needs a logit: the head is in the base, in the adapter, or to be trained. */
  private static void requireHead(Parts parts, AdapterLayout layout) {
    if (layout.find(parts.head(), Role.WEIGHT).isEmpty()
        && parts.base.find(parts.head() + ".weight").isEmpty()) {
      throw new ConfigProblems(
          List.of(
              parts.adapter.isPresent()
                  ? "adapter.init-from brings no " + parts.head() + ", and the base has none either"
                  : "adapter.modules-to-save lacks "
                      + parts.outline.head()
                      + ", and the base has no such head"));
    }
  }

  private static float[] fresh(HfFolder base, AdapterLayout layout, JobConfig config) {
    AdapterLayout.Start start =
        layout.start(
            config.compute().seed(),
            p -> base.find(p.name()).map(t -> t.require(p.shape()).floats()));
    start.fresh().forEach(m -> LOG.info("{} is not in the base: initialised from the seed", m));
    return start.values();
  }

  /**
   * Empty if the base has none, which matters only for text; opened once here, to be sure of it.
   */
  private static byte[] tokenizer(HfFolder base, Format format, int maxTokens) {
    Path file = base.folder().resolve("tokenizer.json");
    if (format == Format.TOKENS || !Files.exists(file)) {
      return new byte[0];
    }
    byte[] json;
    try {
      json = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new InvalidInput(file.toString(), "cannot be read: " + e.getMessage(), "is it whole?");
    }
    try (TextTokenizer tokenizer = TextTokenizer.open(json, Math.max(maxTokens, 16))) {
      int least = tokenizer.specials() + 1;
      if (maxTokens < least) {
        throw new ConfigProblems(
            List.of(
                "data.max-length is %d: the tokenizer adds %d tokens to every text; set at least %d"
                    .formatted(maxTokens, least - 1, least)));
      }
    }
    return json;
  }

  /** Reads and checks a data set. */
  Examples examples(SparkSession session, JobConfig config, String key, String location) {
    return Examples.read(
        session,
        new Location(key, location),
        config.data().format(),
        tokenizer,
        maxTokens,
        plan.vocabulary(),
        labels.names());
  }
}
