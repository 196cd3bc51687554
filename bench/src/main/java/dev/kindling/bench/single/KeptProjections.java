package dev.kindling.bench.single;

import dev.kindling.bench.Workload;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Bytes of a step that keeps every x·aᵀ, and of one that keeps none: llama-250m, r = 128. */
final class KeptProjections {
  private static final int RANK = 128;
  private static final Workload WORKLOAD = Workload.LLAMA_250M;

  private KeptProjections() {}

  static void print() {
    System.out.println("| precision | tokens | f1kb1 | f1b1 | f2b5 | x·aᵀ |");
    System.out.println("|---|---|---|---|---|---|");
    for (String precision : List.of("fp32", "bf16")) {
      try (Workbench bench = new Workbench("onednn-" + precision, 1)) {
        for (int rows : new int[] {2, 8, 58}) {
          line(precision, bench.backend(), rows);
        }
      }
    }
  }

  private static void line(String precision, Backend backend, int rows) {
    long tokens = (long) rows * WORKLOAD.length();
    String merged =
        precision.equals("fp32") ? mebibytes(bytes(backend, "f2b5", rows).activations()) : "–";
    System.out.printf(
        Locale.ROOT,
        "| %s | %,d | %s | %s | %s | %s |%n",
        precision,
        tokens,
        mebibytes(bytes(backend, "f1kb1", rows).activations()),
        mebibytes(bytes(backend, "f1b1", rows).activations()),
        merged,
        mebibytes(kept(tokens) * backend.active().bytes()));
  }

  private static String mebibytes(long bytes) {
    return String.format(Locale.ROOT, "%,.1f", bytes / (double) (1 << 20));
  }

  private static ModelPlan plan() {
    return Families.plan(WORKLOAD.config(), WORKLOAD.classes());
  }

  private static AdapterLayout layout(ModelPlan plan) {
    return AdapterLayout.of(
        plan.linears(), new AdapterSettings(RANK, RANK, 0, WORKLOAD.targets(), WORKLOAD.saved()));
  }

  /** What the plans promise: {@link PairPlan#keptElements} of every pair. */
  private static long kept(long tokens) {
    ModelPlan plan = plan();
    AdapterLayout layout = layout(plan);
    return plan.linears().stream()
        .filter(module -> layout.adapts(module.name()))
        .map(module -> new PairShape(tokens, module.in(), module.out(), RANK))
        .mapToLong(PairPlan.PLAIN::keptElements)
        .sum();
  }

  /** What the model's layout takes. */
  private static Arena.Size bytes(Backend backend, String id, int rows) {
    ModelPlan plan = plan();
    AdapterLayout layout = layout(plan);
    PlanChooser chooser = new PlanChooser.Fixed(PairPlan.of(id).orElseThrow());
    Map<WeightSlot, StoredType> stored = new LinkedHashMap<>();
    plan.weights(layout).forEach(slot -> stored.put(slot, StoredType.F32));
    FrozenWeights weights = FrozenWeights.unplaced(backend, stored, Storage.FP32);
    Trainables trainables = Trainables.unplaced(backend, layout, chooser);
    Model model = plan.build(backend, weights, trainables, false); // nothing to close
    return model.stepBytes(new TokenBatch.Shape(rows, WORKLOAD.length(), rows), true);
  }
}
