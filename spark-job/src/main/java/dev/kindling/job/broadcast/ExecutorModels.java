package dev.kindling.job.broadcast;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The models of this JVM: one copy of the frozen weights for each run, and for each task that runs
 * at the same time a model over them, kept from step to step.
 */
public final class ExecutorModels {
  private static final Logger LOG = LoggerFactory.getLogger(ExecutorModels.class);
  private static final Map<String, ExecutorModels> RUNS = new ConcurrentHashMap<>();
  private static final AtomicInteger LOADS = new AtomicInteger();

  private final ModelSpec spec;
  private final ModelPlan plan;
  private final AdapterLayout layout;
  private final FrozenWeights weights;
  private final Backend loading;
  private final Deque<Owned> idle = new ArrayDeque<>();
  private final IdentityHashMap<Model, Owned> borrowed = new IdentityHashMap<>();
  private boolean released;

  /** Changes that the weights contain. */
  private int changes;

  private ExecutorModels(ModelSpec spec, WeightDelivery delivery) {
    this.spec = spec;
    this.plan = spec.plan();
    this.layout = spec.layout(plan);
    long start = System.nanoTime();
    var slots = plan.weights(layout);
    this.loading = spec.compute().open();
    FrozenWeights.Loader loader = new FrozenWeights.Loader(loading, slots, spec.asStored());
    try {
      delivery.deliver(slots, loader);
    } catch (RuntimeException e) {
      loader.abandon();
      throw e;
    }
    this.weights = loader.finish();
    LOADS.incrementAndGet();
    LOG.info("frozen weights loaded in {} ms", (System.nanoTime() - start) / 1_000_000);
  }

  /** A model and the backend that is its own. */
  private record Owned(Model model, Backend backend) {
    void close() {
      model.close();
      backend.close();
    }
  }

  /**
   * The models of a run; loads the weights if this JVM does not have them yet, and changes them as
   * others have.
   */
  public static ExecutorModels of(ModelSpec spec, WeightDelivery delivery) {
    ExecutorModels models =
        RUNS.computeIfAbsent(spec.run(), run -> new ExecutorModels(spec, delivery));
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
        RUNS.remove(spec.run(), this);
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
    ExecutorModels models = RUNS.remove(run);
    if (models != null) {
      models.release();
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

  /** A model that no other task uses; give it back. */
  public synchronized Model borrow() {
    if (released) {
      throw new IllegalStateException("the run is over");
    }
    Owned owned = idle.poll();
    if (owned == null) {
      Backend backend = spec.compute().open();
      Trainables own = new Trainables(backend, layout, spec.plans());
      owned = new Owned(plan.build(backend, weights, own, spec.recompute()), backend);
    }
    borrowed.put(owned.model, owned);
    return owned.model;
  }

  /** The last one frees what a release has left. */
  public synchronized void giveBack(Model model) {
    idle.add(borrowed.remove(model));
    if (released && borrowed.isEmpty()) {
      free();
    }
  }
}
