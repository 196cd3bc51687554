package dev.kindling.job.gpu;

import dev.kindling.job.config.ConfigProblems;
import dev.kindling.tensor.load.Engine;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.resource.ExecutorResourceRequests;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfileBuilder;
import org.apache.spark.resource.TaskResourceRequests;

/** What a run that computes on GPUs asks of Spark, as its settings say. */
public final class GpuRequest {
  /** Spark's name for them. */
  static final String NAME = "gpu";

  private static final String EXECUTOR = "spark.executor.resource.gpu.amount";
  private static final String TASK = "spark.task.resource.gpu.amount";

  /** For executors of the steps' own; of all others Spark's own key says it. */
  private static final String SCRIPT = "spark.kindling.gpu.discoveryScript";

  private final SparkConf conf;
  private final String master;
  private final Optional<BigDecimal> perExecutor;
  private final Optional<BigDecimal> perTask;
  private final List<String> problems = new ArrayList<>();

  public GpuRequest(SparkConf conf) {
    this.conf = conf;
    this.master = conf.get("spark.master", "local[*]");
    this.perExecutor = amount(EXECUTOR);
    this.perTask = amount(TASK);
  }

  private Optional<BigDecimal> amount(String key) {
    if (!conf.contains(key)) {
      return Optional.empty();
    }
    try {
      return Optional.of(new BigDecimal(conf.get(key).strip()));
    } catch (NumberFormatException e) {
      problems.add(key + " is '" + conf.get(key) + "': expected a whole number");
      return Optional.empty();
    }
  }

  /**
   * Refuses what Spark would take and we cannot use well.
   *
   * @param backend as {@code compute.backend} spells it
   * @throws ConfigProblems with all of it
   */
  public void check(String backend) {
    List<String> found = new ArrayList<>(problems);
    if (local()) {
      if (localTasks() != 1) {
        found.add(
            "compute.backend = "
                + backend
                + " with --master "
                + master
                + ": its tasks would share one GPU; set --master local[1], or use executors, one"
                + " task of which gets a GPU to itself");
      }
      if (perTask.isPresent()) { // tasks would wait for ever
        found.add(
            TASK
                + " is set, and "
                + master
                + " hands out no GPUs: leave it out, the one task has"
                + " the first");
      }
    } else {
      checkExecutors(backend, found);
      checkTasks(found);
    }
    ConfigProblems.check(found);
  }

  /**
   * Refuses what sizes cannot be counted with, in one JVM where nobody hands out GPUs.
   *
   * @throws ConfigProblems if tasks would wait for one
   */
  public void checkCounting() {
    if (perTask.isPresent()) {
      ConfigProblems.check(
          List.of(
              TASK
                  + " is set, and sizes are counted where there are no GPUs: leave it out, steps ask"
                  + " for one by themselves"));
    }
  }

  private void checkExecutors(String backend, List<String> found) {
    if (perExecutor.isEmpty()) {
      if (!ownExecutors()) {
        found.add(
            "compute.backend = "
                + backend
                + ", and executors are asked for without a GPU: add --conf "
                + EXECUTOR
                + "=1 --conf spark.executor.resource.gpu.discoveryScript=submit/getGpus.sh");
      }
      return;
    }
    BigDecimal amount = perExecutor.get();
    if (amount.signum() <= 0 || amount.stripTrailingZeros().scale() > 0) {
      found.add(EXECUTOR + " is " + amount + ": expected a whole number of at least 1");
      return;
    }
    if (amount.intValue() > 1 && backend.equals(Engine.ND4J_CUDA.spelled())) {
      found.add(
          EXECUTOR
              + " is "
              + amount
              + ", and ND4J keeps a device for each thread, which tasks change: set it to 1, with as"
              + " many executors, or set compute.backend = cuda");
    }
    int tasks = conf.getInt("spark.executor.cores", unsaidCores()) / cpus();
    if (tasks < amount.intValue()) {
      found.add(
          EXECUTOR
              + " is "
              + amount
              + ", but an executor has cores for "
              + tasks
              + " task(s), each of which uses one GPU: raise spark.executor.cores to "
              + amount.intValue() * cpus()
              + ", or ask for fewer GPUs");
    }
  }

  private void checkTasks(List<String> found) {
    if (perTask.isPresent() && perTask.get().compareTo(BigDecimal.ONE) < 0) {
      found.add(
          TASK
              + " is "
              + perTask.get()
              + ": several tasks would share a GPU, each with activations of its own, and take"
              + " turns; set it to 1, or leave it out, and raise train.micro-batch-size until the"
              + " GPU is full");
    }
    if (perTask.isPresent() && perTask.get().compareTo(BigDecimal.ONE) > 0) {
      found.add(
          TASK
              + " is "
              + perTask.get()
              + ": a task computes on one GPU; set it to 1, or leave it out");
    }
    if (perTask.isEmpty() && !schedulesStages()) {
      found.add(TASK + " is missing: " + master + " cannot ask for GPUs by the stage; set it to 1");
    }
  }

  private boolean local() {
    return master.equals("local") || master.startsWith("local[");
  }

  private int localTasks() {
    return master.matches("local(\\[1(,.*)?])?") ? 1 : 2;
  }

  /** Cluster managers that take a task's needs from its stage (Spark 3.5). */
  private boolean schedulesStages() {
    return master.matches("(yarn|k8s|spark:|local-cluster).*");
  }

  private boolean dynamic() {
    return conf.getBoolean("spark.dynamicAllocation.enabled", false);
  }

  /** Whether steps get executors of their own, with GPUs, which others do without. */
  private boolean ownExecutors() {
    return perExecutor.isEmpty() && dynamic() && schedulesStages();
  }

  /** Of an executor: where containers have one, and elsewhere all that there are. */
  private int unsaidCores() {
    return master.matches("(yarn|k8s).*") ? 1 : Integer.MAX_VALUE;
  }

  private int cpus() {
    return Math.max(1, conf.getInt("spark.task.cpus", 1));
  }

  /** GPUs of an executor, of which each keeps a task busy. */
  public int perExecutor() {
    return Math.max(1, perExecutor.map(BigDecimal::intValue).orElse(1));
  }

  /**
   * What stages need that compute; empty where every stage's tasks get a GPU, or none can be asked
   * for.
   */
  public Optional<ResourceProfile> profile() {
    if (local() || perTask.isPresent()) {
      return Optional.empty();
    }
    ResourceProfileBuilder builder =
        new ResourceProfileBuilder()
            .require(new TaskResourceRequests().cpus(cpus()).resource(NAME, 1));
    if (ownExecutors()) {
      ExecutorResourceRequests executor =
          new ExecutorResourceRequests()
              .resource(
                  NAME,
                  1,
                  conf.get(SCRIPT, "./getGpus.sh"),
                  master.startsWith("k8s") ? "nvidia.com" : "");
      if (conf.contains("spark.executor.cores")) {
        executor.cores(conf.getInt("spark.executor.cores", 1));
      }
      builder.require(executor);
    }
    return Optional.of(builder.build());
  }
}
