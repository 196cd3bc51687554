package dev.kindling.job;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Labels;
import dev.kindling.data.TextTokenizer;
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
import java.util.List;
import java.util.UUID;
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

  static Preparation of(SparkSession session, JobConfig config) {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    Sources sources = Sources.open(config, spark.hadoopConfiguration());
    HfFolder base = sources.base();
    int maxTokens = maxTokens(config, sources.outline());
    byte[] tokenizer = tokenizer(base, config.data().format(), maxTokens);
    checkTargets(config, sources);

    Labels labels = sources.labels(session, config);
    ModelPlan plan = Families.plan(base.config(), Math.max(1, labels.size()));
    AdapterLayout layout =
        sources
            .adapter()
            .map(a -> a.layout(plan.linears(), Sources.dropout(config.adapter(), a.settings())))
            .orElseGet(() -> AdapterLayout.of(plan.linears(), settings(config, plan)));
    sources.requireHead(layout);
    refuseWholeTransposed(plan, layout);
    List<WeightSlot> slots = plan.weights(layout);
    String digest = base.digest(plan.weights());
    float[] start =
        sources.adapter().map(a -> a.values(layout)).orElseGet(() -> fresh(base, layout, config));
    ModelSpec spec =
        ModelSpec.of(
            UUID.randomUUID().toString(),
            base.config().toString(),
            Math.max(1, labels.size()),
            plan,
            layout,
            config.compute().seed(),
            config.compute().threads());
    Cluster cluster = new Cluster(spark, spec, WeightDelivery.of(spark, base, slots));
    return new Preparation(plan, layout, labels, start, digest, cluster, maxTokens, tokenizer);
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

  /** PEFT would save such a module as [in, out]; a square one could not even be told apart. */
  private static void refuseWholeTransposed(ModelPlan plan, AdapterLayout layout) {
    if (plan.storesTransposed()
        && layout.parameters().stream().anyMatch(p -> p.role() == Role.WEIGHT)) {
      throw new ConfigProblems(
          List.of(
              "adapter.modules-to-save: this family stores its layers as [in, out]; training them in"
                  + " full is not supported yet"));
    }
  }

  private static void checkTargets(JobConfig config, Sources sources) {
    if (sources.adapter().isEmpty()) {
      ModelPlan outline = sources.outline();
      ConfigProblems.check(AdapterLayout.problems(outline.linears(), settings(config, outline)));
    }
  }

  /** Without an adapter, evaluation takes the base as it is. */
  private static AdapterSettings settings(JobConfig config, ModelPlan plan) {
    JobConfig.Adapter a = config.adapter();
    return new AdapterSettings(
        a.r(),
        a.alpha(),
        a.dropout(),
        config.training().isPresent() ? a.targets() : new TargetModules.None(),
        a.modulesToSave().orElse(plan.head()));
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
        plan.predictsTokens(),
        labels.names());
  }
}
