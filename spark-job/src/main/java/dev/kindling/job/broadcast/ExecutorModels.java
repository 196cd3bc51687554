package dev.kindling.job.broadcast;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
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
  private final ConcurrentLinkedQueue<Model> idle = new ConcurrentLinkedQueue<>();

  private ExecutorModels(ModelSpec spec, WeightDelivery delivery) {
    this.spec = spec;
    this.plan = spec.plan();
    this.layout = spec.layout(plan);
    long start = System.nanoTime();
    var slots = plan.weights(layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend(), slots, spec.asStored());
    delivery.deliver(slots, loader);
    this.weights = loader.finish();
    LOADS.incrementAndGet();
    LOG.info("frozen weights loaded in {} ms", (System.nanoTime() - start) / 1_000_000);
  }

  private Backend backend() {
    return Nd4jBackend.open(spec.threads());
  }

  /** The models of a run; loads the weights if this JVM does not have them yet. */
  public static ExecutorModels of(ModelSpec spec, WeightDelivery delivery) {
    return RUNS.computeIfAbsent(spec.run(), run -> new ExecutorModels(spec, delivery));
  }

  /** How often this JVM has loaded frozen weights. */
  public static int loads() {
    return LOADS.get();
  }

  /** Frees the idle models of a run; weights go with the garbage collector. */
  public static void release(String run) {
    ExecutorModels models = RUNS.remove(run);
    if (models != null) {
      models.idle.forEach(Model::close);
    }
  }

  public ModelPlan plan() {
    return plan;
  }

  public AdapterLayout layout() {
    return layout;
  }

  /** A model that no other task uses; give it back. */
  public Model borrow() {
    Model model = idle.poll();
    return model != null ? model : plan.build(backend(), weights, layout, spec.recompute());
  }

  public void giveBack(Model model) {
    idle.add(model);
  }
}
