package dev.kindling.job.config;

import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.load.Engine;

/** How it is computed. */
public record Compute(
    Backend backend,
    Precision precision,
    int threads,
    PlanChooser plans,
    int batch,
    int microBatch,
    long seed,
    Recompute recompute,
    boolean allowMixed) {
  /** Engines; auto is the fastest for CPUs that the driver's machine has. */
  public enum Backend {
    AUTO,
    ONEDNN,
    ND4J,
    CUDA,
    ND4J_CUDA
  }

  /** What of the activations is computed again rather than kept. */
  public enum Recompute {
    NONE,
    BLOCK
  }

  /** The engine for a run that this machine drives. */
  public dev.kindling.tensor.load.Compute choose() {
    Engine engine =
        switch (backend) {
          case AUTO -> Engine.best();
          case ONEDNN -> Engine.ONEDNN;
          case ND4J -> Engine.ND4J;
          case CUDA -> Engine.CUDA;
          case ND4J_CUDA -> Engine.ND4J_CUDA;
        };
    return new dev.kindling.tensor.load.Compute(engine, precision, threads);
  }

  /** Whether plans are to be timed before training. */
  public boolean measures() {
    return plans instanceof PlanChooser.Measured;
  }

  /** Micro-batches of a full batch. */
  public int parts() {
    return (batch + microBatch - 1) / microBatch;
  }
}
