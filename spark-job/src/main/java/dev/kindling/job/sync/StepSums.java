package dev.kindling.job.sync;

import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Prefix;
import dev.kindling.train.GradientSum;
import java.io.Serializable;

/**
 * What all sums of one step have in common, whoever begins one.
 *
 * @param rank of the step
 * @param exponents of its sums
 * @param parts micro-batches of a full batch
 */
record StepSums(ModelSpec spec, int rank, int[] exponents, int parts) implements Serializable {
  /** A sum of nothing yet. */
  GradientSum empty() {
    return empty(Prefix.of(spec.layout(spec.plan()), rank).narrow());
  }

  /**
   * The same.
   *
   * @param narrow what the step uses of the pairs, where that is known
   */
  GradientSum empty(AdapterLayout narrow) {
    return new GradientSum(narrow, exponents, parts);
  }
}
