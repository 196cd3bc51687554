package dev.kindling.bench;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.BatchResult;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.optim.Group;
import dev.kindling.optim.Optimizer;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.onednn.InstructionSet;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Locale;

/**
 * Kindling's step, as a task and the driver share it: gradient of the flat vector, AdamW on it, and
 * the new vector back into the model. All that the bench knows of Kindling's backends is here.
 */
final class Ours implements Side {
  /** Weights are generated and loaded 4 MiB at a time, so that no heap holds a whole tensor. */
  private static final int PIECE = 1 << 20;

  private final Model model;
  private final TokenBatch batch;
  private final Optimizer optimizer;
  private final float[] trainables;
  private final float[] gradient;
  private long steps;

  private Ours(Case setting, Backend backend, PlanChooser plans) {
    ModelPlan plan = setting.plan();
    AdapterLayout layout = setting.layout();
    model =
        plan.build(
            backend,
            load(backend, plan.weights(layout)),
            new Trainables(backend, layout, plans),
            false);
    batch = setting.batch();
    trainables = Weights.trainables(layout);
    gradient = new float[layout.elements()];
    optimizer =
        Optimizer.of(
            new OptimizerSettings(
                OptimizerSettings.Kind.ADAMW,
                LEARNING_RATE,
                WEIGHT_DECAY,
                0.9,
                0.999,
                1e-8,
                new Schedule(Schedule.Curve.CONSTANT, 0, 1)),
            trainables.length);
    model.load(trainables);
  }

  /** Backends that are measured. */
  static List<String> backends() {
    return List.of("onednn");
  }

  /** Whether a backend computes in a precision on this machine. */
  static boolean offers(String backend, Precision precision) {
    return precision == Precision.FP32
        || (backend.equals("onednn") && InstructionSet.multipliesBf16());
  }

  /** With the plans of the fewest operations. */
  static Ours open(Case setting, String backend, Precision precision) {
    return open(setting, backend, precision, new PlanChooser.FewestFlops());
  }

  static Ours open(Case setting, String backend, Precision precision, PlanChooser plans) {
    if (!offers(backend, precision)) {
      throw new IllegalArgumentException(backend + " does not compute in " + precision.label());
    }
    Compute compute =
        new Compute(
            Engine.valueOf(backend.toUpperCase(Locale.ROOT)),
            dev.kindling.tensor.Precision.valueOf(precision.name()),
            setting.threads());
    return new Ours(setting, compute.open(), plans);
  }

  private static FrozenWeights load(Backend backend, List<WeightSlot> slots) {
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, Storage.FP32);
    for (WeightSlot slot : slots) {
      long elements = Tensor.elements(slot.shape());
      for (long from = 0; from < elements; from += PIECE) {
        float[] piece = new float[(int) Math.min(PIECE, elements - from)];
        Weights.fill(slot, from, piece);
        ByteBuffer bytes = ByteBuffer.allocate(4 * piece.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(piece);
        loader.accept(slot, from, bytes, StoredType.F32);
      }
    }
    return loader.finish();
  }

  @Override
  public double step() {
    BatchResult result = model.gradient(batch, gradient);
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] /= result.targets();
    }
    Group all = new Group(0, trainables.length, 1, steps++);
    optimizer.step(trainables, gradient, LEARNING_RATE, List.of(all));
    model.load(trainables);
    return result.loss() / result.targets();
  }

  @Override
  public float[] gradient() {
    return gradient.clone();
  }
}
