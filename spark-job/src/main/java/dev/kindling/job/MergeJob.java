package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.export.MergedBase;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.storage.Location;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.TargetModules;
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
 * Merges an adapter into its base: a Hugging Face folder that needs no PEFT, read again and tried.
 */
public final class MergeJob {
  /** How far logits may be apart, as a share of the largest, where weights are stored in fp32. */
  private static final double TOLERANCE = 1e-3;

  /** The same where some are stored in half of that, to which the merged ones are rounded. */
  private static final double HALF_TOLERANCE = 5e-2;

  private MergeJob() {}

  /** Merges; returns the object for stdout. */
  public static ObjectNode run(Configuration hadoop, JobConfig config) {
    String to = config.target().orElseThrow().to();
    AdapterOnBase opened = AdapterOnBase.open(config, hadoop);
    ModelPlan plan = opened.plan();
    AdapterLayout layout = opened.layout();
    HfFolder base = opened.sources().base();
    refuseShared(plan, layout);
    opened.sources().codes().ifPresent(MergeJob::tellOfCodes);
    Compute compute = new Compute(config.compute().choose().engine(), Precision.FP32, 1);
    ObjectNode result = new ObjectMapper().createObjectNode();
    NewFolder.write(
        to,
        hadoop,
        files -> {
          NewFolder.copyOthers(base.folder(), files);
          new MergedBase(base, plan.linears(), plan.weights(), layout, opened.trainables())
              .write(files, opened.labels());
          try (Backend backend = compute.open(Device.CPU);
              Location.Fetched fetched = new Location("to", to).fetch(hadoop)) {
            AdapterSettings none =
                new AdapterSettings(1, 1, 0, new TargetModules.None(), List.of());
            HfFolder merged = HfFolder.open(fetched.folder());
            ModelPlan alone = Families.plan(merged.config(), Math.max(1, opened.labels().size()));
            AdapterLayout nothing = AdapterLayout.of(alone.linears(), none);
            float[] now = Probe.logits(backend, merged, Storage.FP32, alone, nothing, new float[0]);
            float[] was =
                Probe.logits(backend, base, Storage.FP32, plan, layout, opened.trainables());
            tell(to, full(base, plan), was, now, result);
          }
        });
    return result;
  }

  private static void tellOfCodes(Storage learned) {
    System.err.printf(
        "merged into the base as it is stored: beside base.storage = %s, where the adapter has"
            + " learned, its loss was another one, by the error of these codes%n",
        learned.spelled());
  }

  /** Whether all that the model reads is stored in fp32. */
  private static boolean full(HfFolder base, ModelPlan plan) {
    return plan.weights().stream()
        .flatMap(slot -> base.find(slot.name()).stream())
        .allMatch(tensor -> tensor.type() == StoredType.F32);
  }

  /** A weight that two layers read cannot be changed for one of them. */
  private static void refuseShared(ModelPlan plan, AdapterLayout layout) {
    List<String> shared = plan.tiedWeights(layout);
    if (!shared.isEmpty()) {
      throw new ConfigProblems(
          List.of(
              "merge changes the weights of adapted layers, and those of "
                  + String.join(", ", shared)
                  + " are another layer's too (tied): keep the adapter apart from its base"));
    }
  }

  private static void tell(String to, boolean full, float[] was, float[] now, ObjectNode result) {
    double largest = 0;
    double most = 0;
    for (int i = 0; i < was.length; i++) {
      largest = Math.max(largest, Math.abs(was[i] - (double) now[i]));
      most = Math.max(most, Math.abs(was[i]));
    }
    double allowed = full ? TOLERANCE : HALF_TOLERANCE;
    if (!(largest <= allowed * Math.max(1, most))) { // nor NaN
      throw new InvalidInput(
          "to " + to,
          "computes logits up to " + largest + " away from base and adapter",
          "expected at most " + allowed + " of the largest, " + most + ": is the base damaged?");
    }
    result.put("to", to);
    result.put("logits", was.length);
    result.put("largestLogit", most);
    result.put("largestDifference", largest);
    System.err.printf(
        Locale.ROOT,
        "merged: of %,d logits of random inputs, the largest %.4g, none differs by more than %.2g"
            + "%s%n",
        was.length,
        most,
        largest,
        full ? "" : " (its weights are stored in half width)");
  }
}
