package dev.kindling.job.broadcast;

import dev.kindling.job.gpu.TaskDevice;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Prefix;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.load.Device;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The models of this JVM: one copy of the frozen weights for each run, and for each task that runs
 * at the same time a model over them, kept from step to step.
 */
public final class ExecutorModels {
  private static final Logger LOG = LoggerFactory.getLogger(ExecutorModels.class);
  private static final Map<Key, ExecutorModels> RUNS = new ConcurrentHashMap<>();
  private static final AtomicInteger LOADS = new AtomicInteger();

  /**
   * Models of different ranks that a task keeps: views of one memory, some megabytes of heap each.
   */
  private static final int MOST_RANKS = 8;

  private final ModelSpec spec;
  private final Device device;
  private final ModelPlan plan;
  private final AdapterLayout layout;
  private final FrozenWeights weights;
  private final Backend loading;
  private final Deque<Owned> idle = new ArrayDeque<>();
  private final IdentityHashMap<Model, Owned> borrowed = new IdentityHashMap<>();
  private boolean released;

  /** Changes that the weights contain. */
  private int changes;

  /** Each device of a JVM has weights of its own. */
  private record Key(String run, Device device) {}

  private ExecutorModels(ModelSpec spec, Device device, WeightDelivery delivery) {
    this.spec = spec;
    this.device = device;
    this.plan = spec.plan();
    this.layout = spec.layout(plan);
    long start = System.nanoTime();
    var slots = plan.weights(layout);
    this.loading = spec.compute().open(device);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(loading, slots, spec.storage());
    try {
      delivery.deliver(slots, loader);
    } catch (RuntimeException e) {
      loader.abandon();
      loading.close();
      throw e;
    }
    this.weights = loader.finish();
    weights.sample(loading, plan.linears(), layout);
    LOADS.incrementAndGet();
    LOG.info("frozen weights loaded in {} ms", (System.nanoTime() - start) / 1_000_000);
  }

  /**
   * What a task has to itself.
   *
   * @param models over the same memory, by the rank of their pairs; one at a time is in use
   */
  private record Owned(Backend backend, Trainables trainables, Map<Integer, Model> models) {
    void close() {
      models.values().forEach(Model::close);
      trainables.close();
      backend.close();
    }
  }

  /**
   * The models of a run on the device of the task at hand; loads the weights if this JVM does not
   * have them yet, and changes them as others have.
   */
  public static ExecutorModels of(ModelSpec spec, WeightDelivery delivery) {
    release(ModelSpec.uncoded(spec.run())); // what it was compared with
    Device device = TaskDevice.of(spec.compute());
    ExecutorModels models =
        RUNS.computeIfAbsent(
            new Key(spec.run(), device), run -> new ExecutorModels(spec, device, delivery));
    models.change(delivery.changes());
    return models;
  }

  /**
   * In the order of the run, so that the sums round alike on all executors. Tasks of a stage wait
   * here for each other; one that still computes is of an earlier stage, whose result nobody reads.
   */
  private synchronized void change(List<SentChange> all) {
    if (released) {
      throw new IllegalStateException("these weights have been given up");
    }
    if (all.size() < changes) {
      throw new IllegalStateException(
          "the base has "
              + changes
              + " changes here: a task that wants "
              + all.size()
              + " is late");
    }
    for (SentChange sent : all.subList(changes, all.size())) {
      BaseChange change = sent.take();
      try {
        weights.add(loading, plan.linears(), layout, change);
      } catch (RuntimeException | Error e) { // changed in part: who comes next loads them anew
        RUNS.remove(new Key(spec.run(), device), this);
        release();
        throw e;
      }
      changes++;
    }
  }

  /** How often this JVM has loaded frozen weights. */
  public static int loads() {
    return LOADS.get();
  }

  /** Frees a run's models and weights, once no task uses them any more. */
  public static void release(String run) {
    for (Key key : List.copyOf(RUNS.keySet())) {
      ExecutorModels models = key.run.equals(run) ? RUNS.remove(key) : null;
      if (models != null) {
        models.release();
      }
    }
  }

  private synchronized void release() {
    released = true;
    if (borrowed.isEmpty()) {
      free();
    }
  }

  private void free() {
    idle.forEach(Owned::close);
    idle.clear();
    weights.close();
    loading.close();
  }

  /** What they compute on. */
  public Device device() {
    return device;
  }

  /** UUID of the GPU that they compute on; empty on the CPU. */
  public String uuid() {
    return device instanceof Device.Gpu gpu ? gpu.uuid() : "";
  }

  public ModelPlan plan() {
    return plan;
  }

  public AdapterLayout layout() {
    return layout;
  }

  /** Seed of the run. */
  public long seed() {
    return spec.seed();
  }

  /** What a step with pairs of this rank uses of them. */
  public Prefix prefix(int rank) {
    return Prefix.of(layout, rank);
  }

  /**
   * Lends a model that no other task uses.
   *
   * @param prefix what it has of the pairs
   * @param trainables their values
   */
  public <T> T use(Prefix prefix, float[] trainables, Function<Model, T> use) {
    Model model = borrow(prefix);
    try {
      model.load(trainables);
      return use.apply(model);
    } finally {
      giveBack(model);
    }
  }

  /** A model that no other task uses; give it back. */
  public synchronized Model borrow(Prefix prefix) {
    if (released) {
      throw new IllegalStateException("the run is over");
    }
    Owned owned = idle.poll();
    if (owned == null) {
      Backend backend = spec.compute().open(device);
      Trainables all = new Trainables(backend, layout, spec.plans(), spec.halves());
      owned = new Owned(backend, all, new LinkedHashMap<>());
    }
    try {
      Model model = model(owned, prefix);
      borrowed.put(model, owned);
      return model;
    } catch (RuntimeException | Error e) { // what it has is not lost
      idle.push(owned);
      throw e;
    }
  }

  private Model model(Owned owned, Prefix prefix) {
    int rank = prefix.narrow().settings().r();
    Model model = owned.models.remove(rank);
    if (model == null) {
      if (owned.models.size() == MOST_RANKS) {
        owned.models.remove(owned.models.keySet().iterator().next()).close();
      }
      Trainables own = owned.trainables.prefix(prefix.narrow());
      model = plan.build(owned.backend, weights, own, spec.recompute());
    }
    owned.models.put(rank, model); // the last one used is last
    return model;
  }

  /** The last one frees what a release has left. */
  public synchronized void giveBack(Model model) {
    idle.push(borrowed.remove(model));
    if (released && borrowed.isEmpty()) {
      free();
    }
  }
}
