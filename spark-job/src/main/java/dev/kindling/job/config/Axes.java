package dev.kindling.job.config;

import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Sampling;
import dev.kindling.optim.Schedule;
import dev.kindling.tensor.Storage;
import dev.kindling.train.Merges.Restart;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What a method is: its settings on each axis, as they are in force, by the keys that set them.
 *
 * @param method its name, which is no more than these
 * @param axes settings by axis
 */
public record Axes(String method, Map<String, Map<String, Object>> axes) {
  /**
   * Of a run.
   *
   * @param adapter as configured, or as the folder says that it goes on from
   * @param storage of the base
   * @param steps of the run
   */
  public static Axes of(JobConfig config, AdapterSettings adapter, Storage storage, long steps) {
    Map<String, Map<String, Object>> axes = new LinkedHashMap<>();
    axes.put("initialiser", initialiser(config));
    axes.put("ranks", ranks(config, adapter));
    axes.put("compute plan", plan(config, adapter.sampling()));
    axes.put("base storage", Map.of("base.storage", storage.spelled()));
    axes.put("train mask", mask(config, adapter));
    axes.put("optimiser", optimiser(config));
    axes.put("merges", merges(config, steps));
    axes.put("synchroniser", synchroniser(config.sync()));
    return new Axes(config.source().text("method"), axes);
  }

  private static Map<String, Object> initialiser(JobConfig config) {
    return config
        .adapter()
        .initFrom()
        .map(from -> Map.<String, Object>of("adapter.init-from", from))
        .orElseGet(() -> Map.of("adapter.initialiser", config.adapter().initialiser().spelled()));
  }

  private static Map<String, Object> ranks(JobConfig config, AdapterSettings adapter) {
    Map<String, Object> ranks = new LinkedHashMap<>();
    boolean continued = config.adapter().initFrom().isPresent();
    ranks.put("adapter.r", continued ? adapter.r() : config.source().text("adapter.r"));
    if (adapter.sampling().any() && !continued) {
      ranks.put("sampling.rank-share", config.source().text("sampling.rank-share"));
    }
    ranks.put("adapter.alpha", adapter.alpha());
    ranks.put("adapter.scaling", adapter.scaling().spelled());
    ranks.put("adapter.ranks", config.source().text("adapter.ranks"));
    given(ranks, "adapter.rank-pattern", adapter.patterns().ranks());
    given(ranks, "adapter.alpha-pattern", adapter.patterns().alphas());
    return ranks;
  }

  private static Map<String, Object> plan(JobConfig config, Sampling sampling) {
    Map<String, Object> plan = new LinkedHashMap<>();
    plan.put("plan.chooser", config.source().text("plan.chooser"));
    if (sampling.any()) {
      plan.put("sampling.kept", sampling.kept());
      plan.put("sampling.every-steps", sampling.every());
      plan.put("sampling.score", sampling.byGradient() ? "gradient" : "weight");
    }
    return plan;
  }

  private static Map<String, Object> mask(JobConfig config, AdapterSettings adapter) {
    Map<String, Object> mask = new LinkedHashMap<>();
    mask.put("adapter.train", spelled(config.halves()));
    mask.put("adapter.magnitudes", adapter.magnitudes());
    return mask;
  }

  private static Map<String, Object> optimiser(JobConfig config) {
    Map<String, Object> optimiser = new LinkedHashMap<>();
    Training training = config.training().orElseThrow();
    optimiser.put("optimizer.name", config.source().text("optimizer.name"));
    optimiser.put("optimizer.learning-rate", training.learningRate());
    optimiser.put("optimizer.lora-plus-ratio", training.loraPlusRatio());
    optimiser.put("optimizer.schedule", spelled(training.curve()));
    if (training.curve() != Schedule.Curve.CONSTANT) {
      optimiser.put("optimizer.floor", training.floor());
    }
    return optimiser;
  }

  private static Map<String, Object> merges(JobConfig config, long steps) {
    Map<String, Object> merges = new LinkedHashMap<>();
    long links = config.links(steps).count();
    merges.put("merge.links", links);
    if (links > 1) {
      merges.put("merge.optimizer", spelled(config.merging().restart()));
      if (config.merging().restart() != Restart.RESET) {
        merges.put("merge.pruned", config.merging().pruned());
      }
      merges.put("merge.warmup", config.merging().warmup());
    }
    return merges;
  }

  private static Map<String, Object> synchroniser(Sync sync) {
    Map<String, Object> synchroniser = new LinkedHashMap<>();
    synchroniser.put("sync.mode", spelled(sync.mode()));
    if (sync.averages()) {
      synchroniser.put("sync.averaging-frequency", sync.frequency());
      synchroniser.put("sync.exactness", spelled(sync.exactness()));
      synchroniser.put("sync.outer", spelled(sync.outer()));
      if (sync.outer() == Sync.Outer.NESTEROV) {
        synchroniser.put("sync.outer-learning-rate", sync.outerRate());
        synchroniser.put("sync.outer-momentum", sync.outerMomentum());
      }
    } else {
      synchroniser.put("sync.compression", spelled(sync.compression()));
    }
    return synchroniser;
  }

  private static String spelled(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  private static void given(Map<String, Object> all, String key, Map<String, ?> table) {
    if (!table.isEmpty()) {
      all.put(key, table);
    }
  }
}
