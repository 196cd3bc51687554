package dev.kindling.job.broadcast;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.load.Compute;
import java.io.Serializable;
import java.util.List;
import java.util.function.Predicate;

/**
 * All that an executor needs to build the model, but for the weights: a few kilobytes.
 *
 * @param run distinguishes the runs of one JVM
 * @param configJson the base's config.json
 * @param classes outputs of the head
 * @param adapter its settings, with layers by their full names
 * @param seed of the run
 * @param compute how every executor computes
 * @param plans in which order it forms the products of pairs
 * @param storage how frozen matrices are kept
 * @param recompute whether activations within blocks are computed again rather than kept
 * @param halves of pairs that learn
 */
public record ModelSpec(
    String run,
    String configJson,
    int classes,
    AdapterSettings adapter,
    long seed,
    Compute compute,
    PlanChooser plans,
    Storage storage,
    boolean recompute,
    Halves halves)
    implements Serializable {
  /** Describes a model that the driver has planned. */
  public static ModelSpec of(
      String run,
      String configJson,
      int classes,
      ModelPlan plan,
      AdapterLayout layout,
      long seed,
      Compute compute,
      PlanChooser plans,
      Storage storage,
      boolean recompute,
      Halves halves) {
    List<String> adapted = names(plan, layout::adapts);
    AdapterSettings named =
        layout
            .settings()
            .on(
                adapted.isEmpty() ? new TargetModules.None() : new TargetModules.Names(adapted),
                names(plan, name -> layout.find(name, Role.WEIGHT).isPresent()));
    return new ModelSpec(
        run, configJson, classes, named, seed, compute, plans, storage, recompute, halves);
  }

  /** The same model with other plans. */
  public ModelSpec with(PlanChooser other) {
    return new ModelSpec(
        run, configJson, classes, adapter, seed, compute, other, storage, recompute, halves);
  }

  /**
   * The same model over the base as it is stored rather than as codes: a run of its own, over
   * before this one begins.
   */
  public ModelSpec uncoded() {
    return new ModelSpec(
        uncoded(run),
        configJson,
        classes,
        adapter,
        seed,
        compute,
        plans,
        Storage.FP32,
        recompute,
        halves);
  }

  static String uncoded(String run) {
    return run + "/uncoded";
  }

  /** What all its layers allow. */
  public PlanRules rules() {
    return new PlanRules(
        adapter.dropout() > 0, compute.precision().rounds(), adapter.sampling().any());
  }

  private static List<String> names(ModelPlan plan, Predicate<String> wanted) {
    return plan.linears().stream().map(LinearModule::name).filter(wanted).toList();
  }

  /** The same plan that the driver made. */
  public ModelPlan plan() {
    try {
      return Families.plan(new ObjectMapper().readTree(configJson), classes);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("the driver has parsed this before", e);
    }
  }

  /** The same layout that the driver made. */
  public AdapterLayout layout(ModelPlan plan) {
    return AdapterLayout.of(plan.linears(), adapter);
  }
}
