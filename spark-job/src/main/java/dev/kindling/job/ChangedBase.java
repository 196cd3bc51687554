package dev.kindling.job;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.export.MergedBase;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.storage.Location;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange.Adapter;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.Probe;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.conf.Configuration;

/**
 * A base with pairs added to its weights as a Hugging Face folder: written, read again, and tried
 * beside what it stands for.
 *
 * @param opened base and adapter
 * @param added of the adapter, to the base
 * @param left of it beside the new base
 * @param labels class names of a classifier that the new base is, if it is one
 */
record ChangedBase(AdapterOnBase opened, Adapter added, Adapter left, List<String> labels) {
  /** How far logits may be apart, as a share of the largest, where weights are stored in fp32. */
  private static final double TOLERANCE = 1e-3;

  /** The same where some are stored in half of that, to which the changed ones are rounded. */
  private static final double HALF_TOLERANCE = 5e-2;

  /**
   * Where it goes.
   *
   * @param key of the configuration that names the folder
   */
  record Place(String key, String to, Configuration hadoop) {}

  /**
   * Writes it.
   *
   * @param result told how far logits are apart
   * @param then what else belongs to it: where that fails, it is gone again
   */
  void write(Place place, JobConfig config, ObjectNode result, Runnable then) {
    ModelPlan plan = opened.plan();
    HfFolder base = opened.sources().base();
    refuseShared(place, plan);
    Compute compute = new Compute(config.compute().choose().engine(), Precision.FP32, 1);
    NewFolder.write(
        place.key,
        place.to,
        place.hadoop,
        files -> {
          NewFolder.copyOthers(base.folder(), files);
          new MergedBase(base, plan.linears(), plan.weights(), added.layout(), added.values())
              .write(files, labels);
          try (Backend backend = compute.open(Device.CPU);
              Location.Fetched fetched = new Location(place.key, place.to).fetch(place.hadoop)) {
            HfFolder changed = HfFolder.open(fetched.folder());
            int classes = Math.max(1, opened.labels().size());
            ModelPlan alone = Families.plan(changed.config(), classes);
            float[] now =
                Probe.logits(backend, changed, Storage.FP32, alone, left.layout(), left.values());
            AdapterLayout whole = opened.layout();
            float[] was =
                Probe.logits(backend, base, Storage.FP32, plan, whole, opened.trainables());
            tell(place, full(base, plan), was, now, result);
          }
          then.run();
        });
  }

  /** A weight that two layers read cannot be changed for one of them. */
  private void refuseShared(Place place, ModelPlan plan) {
    List<String> shared = plan.tiedWeights(added.layout());
    if (!shared.isEmpty()) {
      throw new ConfigProblems(
          List.of(
              place.key
                  + " "
                  + place.to
                  + ": the weights of adapted layers would change, and those of "
                  + String.join(", ", shared)
                  + " are another layer's too (tied): keep the adapter apart from its base"));
    }
  }

  /** Whether all that the model reads is stored in fp32. */
  private static boolean full(HfFolder base, ModelPlan plan) {
    return plan.weights().stream()
        .flatMap(slot -> base.find(slot.name()).stream())
        .allMatch(tensor -> tensor.type() == StoredType.F32);
  }

  private static void tell(Place place, boolean full, float[] was, float[] now, ObjectNode result) {
    double largest = 0;
    double most = 0;
    for (int i = 0; i < was.length; i++) {
      largest = Math.max(largest, Math.abs(was[i] - (double) now[i]));
      most = Math.max(most, Math.abs(was[i]));
    }
    double allowed = full ? TOLERANCE : HALF_TOLERANCE;
    if (!(largest <= allowed * Math.max(1, most))) { // nor NaN
      throw new InvalidInput(
          place.key + " " + place.to,
          "computes logits up to " + largest + " away from base and adapter",
          "expected at most " + allowed + " of the largest, " + most + ": is the base damaged?");
    }
    result.put("logits", was.length);
    result.put("largestLogit", most);
    result.put("largestDifference", largest);
    System.err.printf(
        Locale.ROOT,
        "written and tried: %s: of %,d logits of random inputs, the largest %.4g, none differs by more"
            + " than %.2g%s%n",
        place.to,
        was.length,
        most,
        largest,
        full ? "" : " (its weights are stored in half width)");
  }
}
