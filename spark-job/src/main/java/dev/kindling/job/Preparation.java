package dev.kindling.job;

import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.cost.JoinedPairs;
import dev.kindling.cost.LayerShape;
import dev.kindling.cost.PairClock;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.cost.Rates;
import dev.kindling.data.Grouping;
import dev.kindling.data.Labels;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.config.Base.Delivery;
import dev.kindling.job.config.Compute;
import dev.kindling.job.config.Compute.Recompute;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.Data;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.explain.ExecutorClock;
import dev.kindling.job.explain.PlanTable;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.ingest.Query;
import dev.kindling.job.storage.Location;
import dev.kindling.job.sync.Cluster;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Base, adapter, classes and start values, read and checked against each other and against the
 * configuration; the ground that train and evaluate share.
 *
 * @param start trainables before the first step, as drawn or imported
 * @param baseDigest SHA-256 of the base's weights
 * @param nested whether each prefix of the adapter that was opened is an adapter too
 */
record Preparation(
    ModelPlan plan,
    AdapterLayout layout,
    Labels labels,
    float[] start,
    HfFolder base,
    String baseDigest,
    Cluster cluster,
    Reading reading,
    boolean nested) {
  private static final Logger LOG = LoggerFactory.getLogger(Preparation.class);

  static Preparation of(SparkSession session, JobConfig config) {
    return of(session, config, true);
  }

  /**
   * The same for who only plans: the weights stay where they are, no model can be built, and there
   * need be no GPU.
   */
  static Preparation withoutWeights(SparkSession session, JobConfig config) {
    return of(session, config, false);
  }

  private static Preparation of(SparkSession session, JobConfig config, boolean delivers) {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    Sources sources = Sources.open(config, spark.hadoopConfiguration());
    HfFolder base = sources.base();
    Reading reading = Reading.of(config, base, sources.outline());
    sources.checkTargets(config);

    Labels labels = sources.labels(session, config);
    ModelPlan plan = Families.plan(base.config(), Math.max(1, labels.size()));
    AdapterLayout layout = sources.layout(config, plan);
    sources.requireHead(layout);
    List<String> beyond = layout.beyond();
    if (!beyond.isEmpty()
        && config.training().isPresent()
        && config.adapter().fromBase().isEmpty()) { // which refuses them
      LOG.warn(
          "{}{}: what is above that learns nothing more",
          beyond.get(0),
          beyond.size() == 1 ? "" : ", and " + (beyond.size() - 1) + " other layers");
    }
    List<String> unused = base.unused(plan.weights());
    if (!unused.isEmpty()) {
      LOG.info("{} tensors of the base are not used: {}", unused.size(), Safetensors.some(unused));
    }
    base.resolve(plan.weights(layout)); // here, not first on an executor
    String digest = base.digest(plan.weights());
    float[] start = sources.start(config, plan, layout);
    Compute compute = config.compute();
    ModelSpec spec =
        ModelSpec.of(
            UUID.randomUUID().toString(),
            base.config().toString(),
            Math.max(1, labels.size()),
            plan,
            layout,
            compute.seed(),
            compute.choose(),
            compute.plans(),
            sources.storage(config),
            compute.recompute() == Recompute.BLOCK,
            config.halves());
    requireLegal(spec);
    WeightDelivery delivery = new WeightDelivery.Mapped(base.folder().toString());
    if (delivers && config.base().delivery() == Delivery.STORAGE) {
      String place = new Location("base.path", config.base().path()).absolute();
      delivery = new WeightDelivery.Stored(place, base.digest(plan.weights(layout)));
    } else if (delivers) {
      delivery = WeightDelivery.of(spark, base, plan.weights(layout));
    }
    Cluster cluster = new Cluster(spark, spec, delivery);
    if (delivers) {
      cluster.requireGpus(compute.allowMixed());
    }
    return new Preparation(
        plan, layout, labels, start, base, digest, cluster, reading, sources.nested());
  }

  /** An imported adapter may drop inputs where the configuration says nothing of it. */
  private static void requireLegal(ModelSpec spec) {
    if (spec.plans() instanceof PlanChooser.Fixed fixed) {
      spec.rules()
          .against(fixed.plan())
          .ifPresent(why -> ConfigProblems.check(List.of("plan.chooser: " + why)));
    }
  }

  /** Reads and checks what is trained on. */
  Examples trained(SparkSession session) {
    return read(session, Query.trained(reading.config().data(), seed()));
  }

  /** Reads and checks what is evaluated in training, if anything is. */
  Optional<Examples> held(SparkSession session) {
    Data data = reading.config().data();
    if (data.holdOut() > 0) {
      return Optional.of(read(session, Query.heldOut(data, seed())));
    }
    return data.validation().isPresent() ? Optional.of(evaluated(session)) : Optional.empty();
  }

  /** Reads and checks {@code data.validation}. */
  Examples evaluated(SparkSession session) {
    return read(session, Query.evaluated(reading.config().data()));
  }

  private long seed() {
    return reading.config().compute().seed();
  }

  private Examples read(SparkSession session, Query query) {
    return Examples.read(session, query, reading.rows(labels));
  }

  /** What decides the result besides the configuration: digests by name. */
  Map<String, String> inputs(Examples trained, Optional<Examples> evaluated) {
    Map<String, String> inputs = new TreeMap<>();
    inputs.put("base", baseDigest);
    inputs.put("data.train", trained.digest());
    evaluated.ifPresent(e -> inputs.put("data.validation", e.digest()));
    Storage storage = cluster.spec().storage();
    if (storage != reading.config().base().storage()) { // an adapter's notes have it
      inputs.put("base.storage", storage.spelled());
    }
    return inputs;
  }

  /** What an executor will need to train on the one and evaluate the other. */
  MemoryPlan memory(Examples trained, Optional<Examples> evaluated) {
    Grouping grouping = grouping();
    return MemoryPlan.of(
        cluster.spec(),
        stored(),
        cluster.tasksPerExecutor(),
        grouping.largest(trained.longest()),
        evaluated.map(e -> grouping.largest(e.longest())).orElse(List.of()),
        ranks());
  }

  /** Of all steps. */
  private List<Integer> ranks() {
    int r = layout.settings().r();
    boolean fixed = reading.config().adapter().ranks() == Ranks.Use.FIXED;
    return IntStream.rangeClosed(fixed ? r : 1, r).boxed().toList();
  }

  /**
   * What plan.chooser = measured times: each distinct layer at the largest micro-batch, and at a
   * half, a quarter and an eighth of it.
   */
  List<Timed> time(Examples trained) {
    List<PairShape> shapes = new ArrayList<>();
    for (LayerShape layer : layers(trained)) {
      long tokens = layer.shape().tokens();
      LongStream.of(tokens, tokens / 2, tokens / 4, tokens / 8)
          .filter(n -> n > 0)
          .distinct()
          .forEach(n -> shapes.add(layer.shape().over(n)));
    }
    StoredType stored =
        stored().entrySet().stream()
            .filter(e -> e.getKey().matrix())
            .map(Map.Entry::getValue)
            .findFirst()
            .orElse(StoredType.F32);
    return new ExecutorClock(cluster).pairs(shapes, cluster.spec().rules(), stored);
  }

  /** The same run with the fastest plans that were measured. */
  Preparation pinned(List<Timed> timed) {
    return with(cluster.spec().with(PairClock.table(timed)));
  }

  /** The same run over the base as it is stored, to compare codes with. */
  Preparation uncoded() {
    return with(cluster.spec().uncoded());
  }

  private Preparation with(ModelSpec spec) {
    return new Preparation(
        plan, layout, labels, start, base, baseDigest, cluster.with(spec), reading, nested);
  }

  /** Distinct low-rank layers at the largest micro-batch. */
  List<LayerShape> layers(Examples trained) {
    Grouping grouping = grouping();
    int longest = grouping.longestRow(trained.longest());
    return LayerShape.of(plan.linears(), layout, cluster.spec().halves(), grouping.rows(), longest);
  }

  /**
   * The plans of the low-rank layers.
   *
   * @param rates to predict times with
   * @param timed what was measured
   */
  PlanTable plans(Examples trained, Optional<Rates> rates, List<Timed> timed) {
    ModelSpec spec = cluster.spec();
    int width = spec.compute().precision().active().bytes();
    List<LayerShape> layers = layers(trained);
    List<JoinedPairs> joined =
        JoinedPairs.of(
            plan.sharedInputs(),
            layers,
            layout,
            shape -> spec.plans().choose(shape, spec.rules().over(shape)));
    return PlanTable.of(
        layers, joined, spec.plans(), spec.rules(), width, rates.orElse(null), timed);
  }

  /** In which types the base's tensors are stored. */
  Map<WeightSlot, StoredType> stored() {
    Map<WeightSlot, StoredType> types = new LinkedHashMap<>();
    base.resolve(plan.weights(layout)).forEach((slot, tensor) -> types.put(slot, tensor.type()));
    return types;
  }

  /** Bytes of the base that is loaded, as it is stored. */
  long storedBytes() {
    return base.resolve(plan.weights(layout)).values().stream()
        .mapToLong(tensor -> Tensor.elements(tensor.shape()) * tensor.type().bytes())
        .sum();
  }

  /** Bytes of the base that the driver sends. */
  long sent() {
    return cluster.delivery().sent();
  }

  /** How a batch is cut into micro-batches. */
  Grouping grouping() {
    return reading.grouping();
  }
}
