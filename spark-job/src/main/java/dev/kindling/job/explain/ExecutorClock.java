package dev.kindling.job.explain;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.cost.PairClock;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.cost.Rates;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.gpu.TaskDevice;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.OnHosts;
import dev.kindling.job.sync.Reduction;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.StoredType;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;

/** Times operations where they will run: in tasks on executors, as many at once as in training. */
public final class ExecutorClock {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Exchanges that are timed, of which the median counts, after others that warm Spark up. */
  private static final int EXCHANGES = 15;

  private static final int WARM_UP = 40;

  private final Cluster cluster;

  public ExecutorClock(Cluster cluster) {
    this.cluster = cluster;
  }

  /**
   * Times the legal orders of each shape's products, in one task.
   *
   * @param stored the type that the base's matrices are stored in
   */
  public List<Timed> pairs(List<PairShape> shapes, PlanRules rules, StoredType stored) {
    ModelSpec spec = cluster.spec();
    List<PairShape> sent = List.copyOf(shapes);
    describe("timing the plans of low-rank layers");
    byte[] frame =
        Tasks.runAll(
                cluster.spark(),
                tasks(1),
                nothing -> {
                  try (Backend backend = spec.compute().open(TaskDevice.of(spec.compute()))) {
                    List<Timed> timed = new ArrayList<>();
                    for (PairShape shape : sent) {
                      timed.addAll(
                          PairClock.time(
                              backend,
                              shape,
                              rules,
                              stored,
                              spec.storage(),
                              spec.adapter().dropout()));
                    }
                    return encode(timed.toArray(Timed[]::new));
                  }
                })
            .get(0);
    return List.of(decode(frame, Timed[].class));
  }

  /** How fast each of so many tasks computes beside the others; the slowest counts. */
  public Rates rates(Rates.Probe probe, int tasks) {
    ModelSpec spec = cluster.spec();
    describe("timing products, attention and elements");
    List<Rates> found =
        Tasks.runAll(
                cluster.spark(),
                tasks(tasks),
                nothing -> {
                  try (Backend backend = spec.compute().open(TaskDevice.of(spec.compute()))) {
                    return encode(Rates.measure(backend, probe));
                  }
                })
            .stream()
            .map(frame -> decode(frame, Rates.class))
            .toList();
    return Rates.slowest(found);
  }

  /** Seconds of a step that computes nothing: broadcast, a stage or two, sums, results, merge. */
  public double exchange(AdapterLayout layout, int tasks, OnHosts onHosts) {
    describe("timing the exchange of a step");
    double[] seconds = new double[EXCHANGES];
    float[] moving = new float[layout.elements()];
    Arrays.fill(moving, 1); // parameters without a gradient would stay at home
    for (int round = -WARM_UP; round < EXCHANGES; round++) {
      long start = System.nanoTime();
      Reduction.rehearse(cluster, layout, moving, tasks, onHosts);
      if (round >= 0) {
        seconds[round] = (System.nanoTime() - start) / 1e9;
      }
    }
    Arrays.sort(seconds);
    return seconds[EXCHANGES / 2];
  }

  private JavaRDD<Integer> tasks(int count) {
    return cluster.tasks(count);
  }

  private void describe(String what) {
    cluster.spark().sc().setJobDescription(what);
  }

  private static byte[] encode(Object value) throws JsonProcessingException {
    return JSON.writeValueAsBytes(value);
  }

  private static <T> T decode(byte[] frame, Class<T> type) {
    try {
      return JSON.readValue(frame, type);
    } catch (IOException e) {
      throw new IllegalStateException("a task's own words", e);
    }
  }
}
