package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Tensor;
import java.util.Random;

/**
 * A whole model's backward against central differences of Σ loss in float64: a foreign program
 * could share our misreading of a paper, the definition of a derivative cannot.
 */
public final class Differences {
  private static final double EPSILON = 1e-5;

  /** Relative to the tensor's largest gradient; ε² and rounding leave 1e-8. */
  private static final double TOLERANCE = 1e-6;

  private final ReferenceBackend backend;
  private final Model model;
  private final Trainables trainables;
  private final Random random = new Random(53);

  /**
   * @param model on that backend, with random trainables from here on
   */
  public Differences(ReferenceBackend backend, Model model, Trainables trainables) {
    this.backend = backend;
    this.model = model;
    this.trainables = trainables;
    for (int i = 0; i < trainables.values().elements(); i++) {
      ReferenceBackend.set(trainables.values(), i, 0.1 * random.nextGaussian());
    }
  }

  /** Checks some elements of every trainable tensor. */
  public void check(TokenBatch batch, AdapterLayout layout) {
    loss(batch);
    double[] gradient = ReferenceBackend.values(trainables.gradients());
    assertThat(layout.parameters()).isNotEmpty();
    Tensor values = trainables.values();
    for (Parameter p : layout.parameters()) {
      int largest = p.offset();
      for (int i = p.offset(); i < p.offset() + p.elements(); i++) {
        largest = Math.abs(gradient[i]) > Math.abs(gradient[largest]) ? i : largest;
      }
      double size = Math.abs(gradient[largest]);
      assertThat(size).as(p.name()).isPositive();
      int[] some = random.ints(3, p.offset(), p.offset() + p.elements()).toArray();
      some[2] = largest; // a table's gradient is zero in most rows
      for (int i : some) {
        double at = ReferenceBackend.values(values)[i];
        ReferenceBackend.set(values, i, at + EPSILON);
        double above = loss(batch);
        ReferenceBackend.set(values, i, at - EPSILON);
        double below = loss(batch);
        ReferenceBackend.set(values, i, at);
        assertThat((above - below) / (2 * EPSILON))
            .as("%s, element %d", p.name(), i - p.offset())
            .isCloseTo(gradient[i], offset(TOLERANCE * size));
      }
    }
  }

  /** In training mode, so that dropout takes part: its mask is a function of the rows' keys. */
  private double loss(TokenBatch batch) {
    model.gradient(batch, new float[Math.toIntExact(trainables.values().elements())]);
    return backend.latestLoss();
  }
}
