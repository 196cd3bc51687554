package dev.kindling.job.sync;

import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.GpuBudget;
import dev.kindling.job.broadcast.MemoryBudget;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.SentChanges;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.gpu.Fleet;
import dev.kindling.job.gpu.GpuRequest;
import dev.kindling.job.gpu.TaskSlot;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.lora.BaseChange;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.SparkExecutorInfo;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.storage.BlockManagerId;
import scala.collection.JavaConverters;

/**
 * The executors with a model on them.
 *
 * @param spark the driver's context
 * @param spec what to build
 * @param delivery how the weights come
 * @param sent mutable: the changes of the weights that are on their way
 * @param fleet mutable: who computes on which GPU
 * @param needs of stages that compute, beyond what every stage needs: where Spark can tell stages
 *     apart, only those wait for a GPU. One value for all of a run: to Spark each is another one
 */
public record Cluster(
    JavaSparkContext spark,
    ModelSpec spec,
    WeightDelivery delivery,
    SentChanges sent,
    Fleet fleet,
    Optional<ResourceProfile> needs) {
  /** With weights as they are. */
  public Cluster(JavaSparkContext spark, ModelSpec spec, WeightDelivery delivery) {
    this(
        spark,
        spec,
        delivery,
        new SentChanges(),
        new Fleet(),
        spec.compute().engine().gpu()
            ? new GpuRequest(spark.getConf()).profile()
            : Optional.empty());
  }

  /** What a task does with the models of its executor. */
  public interface Use {
    StepReport.Payload apply(ExecutorModels models, List<byte[]> frames);
  }

  /** The same executors with another model to build. */
  public Cluster with(ModelSpec other) {
    return new Cluster(spark, other, delivery, sent, fleet, needs);
  }

  /** How weights come that have been changed since; each change is sent once. */
  public WeightDelivery delivery(List<BaseChange> changes) {
    return changes.isEmpty()
        ? delivery
        : new WeightDelivery.Changed(delivery, sent.of(spark, changes));
  }

  /** Sends a vector of trainables down, once to each executor that asks. */
  public Broadcast<float[]> send(float[] trainables) {
    return spark.broadcast(trainables);
  }

  /** Tasks that compute at once now: partitions worth having. */
  public int slots() {
    if (!onGpus()) {
      return Math.max(1, spark.defaultParallelism());
    }
    return spark.isLocal() ? 1 : executors() * gpus().perExecutor();
  }

  private boolean onGpus() {
    return spec.compute().engine().gpu();
  }

  private GpuRequest gpus() {
    return new GpuRequest(spark.getConf());
  }

  /** Those that have come, at least one. */
  private int executors() {
    int all = spark.sc().statusTracker().getExecutorInfos().length;
    return Math.max(1, all - 1); // the driver is one of them
  }

  /** Machines with executors. */
  public int hosts() {
    BlockManagerId driver = SparkEnv.get().blockManager().blockManagerId();
    long hosts =
        Arrays.stream(spark.sc().statusTracker().getExecutorInfos())
            .filter(e -> !(e.host().equals(driver.host()) && e.port() == driver.port()))
            .map(SparkExecutorInfo::host)
            .distinct()
            .count();
    return Math.max(1, Math.toIntExact(hosts));
  }

  /** So many tasks where steps compute, numbered from 0. */
  public JavaRDD<Integer> tasks(int count) {
    JavaRDD<Integer> tasks = spark.parallelize(IntStream.range(0, count).boxed().toList(), count);
    return needs.map(tasks::withResources).orElse(tasks);
  }

  /**
   * Asks the executors which GPUs they have, if the run wants any, and tells.
   *
   * @param allowMixed whether executors without one may compute on the CPU
   */
  public void requireGpus(boolean allowMixed) {
    if (onGpus()) {
      fleet.judge(devices(), spec.compute().engine().spelled(), allowMixed, alive());
    }
  }

  /**
   * Refuses to time plans where there is nothing to time them on.
   *
   * @param measures whether plans are to be timed
   * @return why there is nothing; empty if there is
   */
  public Optional<String> requireClock(boolean measures) {
    return onGpus() ? Fleet.requireClock(devices(), measures) : Optional.empty();
  }

  private List<TaskSlot> devices() {
    Compute compute = spec.compute();
    spark.sc().setJobDescription("GPUs of the executors");
    return Tasks.runAll(spark, tasks(slots()), slot -> TaskSlot.here(compute)).stream()
        .map(TaskSlot::decode)
        .toList();
  }

  /** Takes note of who has computed a step on what. */
  public void see(Map<String, ? extends Set<String>> devices) {
    if (!devices.isEmpty()) {
      fleet.see(devices, alive());
    }
  }

  private Set<String> alive() {
    return spark.isLocal()
        ? Set.of()
        : Set.copyOf(JavaConverters.seqAsJavaList(spark.sc().getExecutorIds()));
  }

  /**
   * Checks a plan against what executors have for tensors, or their GPUs.
   *
   * @throws dev.kindling.job.broadcast.DoesNotFit if it needs more
   */
  public void require(MemoryPlan plan) {
    if (onGpus()) {
      new GpuBudget(fleet.leastBytes()).require(plan);
    } else {
      memory().require(plan);
    }
  }

  /** What its executors have for tensors. */
  public MemoryBudget memory() {
    boolean contained = spark.master().matches("(yarn|k8s).*"); // where the machine has no say
    long physical = spark.isLocal() || contained ? MemoryUse.physical() : leastPhysical();
    return MemoryBudget.of(spark.master(), spark.getConf(), physical);
  }

  private long leastPhysical() {
    spark.sc().setJobDescription("memory of the executors");
    var rdd = spark.parallelize(IntStream.range(0, slots()).boxed().toList(), slots());
    return Tasks.runAll(spark, rdd, slot -> encode(MemoryUse.physical())).stream()
        .mapToLong(frame -> ByteBuffer.wrap(frame).getLong())
        .min()
        .orElseThrow();
  }

  private static byte[] encode(long value) {
    return ByteBuffer.allocate(Long.BYTES).putLong(value).array();
  }

  /** How Spark will name its first executor. */
  public String executorName() {
    return spark.isLocal() ? "driver" : "0";
  }

  /** Tasks that one executor runs at once, as configured or else as the cluster looks now. */
  public int tasksPerExecutor() {
    SparkConf conf = spark.getConf();
    if (onGpus()) {
      return gpus().perExecutor();
    }
    int cpus = Math.max(1, conf.getInt("spark.task.cpus", 1));
    Matcher local = Pattern.compile("local(?:\\[(\\d+|\\*).*)?").matcher(spark.master());
    if (local.matches()) {
      String cores = local.group(1) == null ? "1" : local.group(1);
      int all = Runtime.getRuntime().availableProcessors();
      return Math.max(1, (cores.equals("*") ? all : Integer.parseInt(cores)) / cpus);
    }
    if (conf.contains("spark.executor.cores")) {
      return Math.max(1, conf.getInt("spark.executor.cores", 1) / cpus);
    }
    int executors = executors();
    return (slots() + executors - 1) / executors;
  }

  /** This JVM's machine, as Spark calls it. */
  public static String host() {
    return SparkEnv.get().blockManager().blockManagerId().host();
  }

  /**
   * Runs in a task: computes with the models of its executor and reports what it made. Without
   * frames there is nothing to load or to report.
   */
  public static byte[] inTask(
      ModelSpec spec, WeightDelivery delivery, List<byte[]> frames, Use use) {
    if (frames.isEmpty()) {
      return new StepReport(SparkEnv.get().executorId(), host(), 0, 0, MemoryUse.now(), "", "")
          .encode(StepReport.Payload.NONE);
    }
    ExecutorModels models = ExecutorModels.of(spec, delivery);
    long start = System.nanoTime();
    StepReport.Payload payload = use.apply(models, frames);
    return report(spec, System.nanoTime() - start, models.device()).encode(payload);
  }

  /** What a task that has computed so long on a device says. */
  static StepReport report(ModelSpec spec, long nanos, Device device) {
    return new StepReport(
        SparkEnv.get().executorId(),
        host(),
        ExecutorModels.loads(),
        nanos,
        MemoryUse.now(),
        spec.compute().numerics(device),
        device instanceof Device.Gpu gpu ? gpu.uuid() : "");
  }
}
