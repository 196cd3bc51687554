package dev.kindling.lora;

import dev.kindling.lora.Parameter.Role;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * The output features through which gradients go on in the next step ({@link Sampling}), as marks
 * among the trainables, so that they are sent, kept and gone on with like those: 1 for one that is
 * chosen, 0 for another, and 2 more for all of them if the step is to say what each weighs. It says
 * so where the marks' gradients lie.
 */
public final class Selection {
  private static final float CHOSEN = 1;
  private static final float ASKED = 2;

  private Selection() {}

  /** All features, and the first step is to say what they weigh. */
  static float[] start(int features) {
    float[] marks = new float[features];
    Arrays.fill(marks, CHOSEN + ASKED);
    return marks;
  }

  /** The chosen ones among {@code features} marks from {@code from} on, ascending. */
  public static int[] chosen(float[] marks, int from, int features) {
    return IntStream.range(0, features).filter(j -> marks[from + j] % ASKED == CHOSEN).toArray();
  }

  /** Whether the step is to say what they weigh. */
  public static boolean asked(float[] marks, int from) {
    return marks[from] >= ASKED;
  }

  /**
   * Marks for the next step: those that weigh most, of equals the first, if this step was asked;
   * else the same.
   *
   * @param layout of the trainables
   * @param trainables changed where they are marks
   * @param weights the gradient, or any multiple of it
   * @param ask whether the next step is asked
   */
  public static void next(AdapterLayout layout, float[] trainables, float[] weights, boolean ask) {
    for (Parameter p : layout.parameters()) {
      if (p.role() == Role.SELECTION) {
        int n = p.elements();
        int[] chosen =
            asked(trainables, p.offset())
                ? heaviest(weights, p.offset(), n, layout.settings().sampling().kept(p.module(), n))
                : chosen(trainables, p.offset(), n);
        Arrays.fill(trainables, p.offset(), p.offset() + n, ask ? ASKED : 0);
        for (int j : chosen) {
          trainables[p.offset() + j] += CHOSEN;
        }
      }
    }
  }

  private static int[] heaviest(float[] weights, int from, int features, int kept) {
    return IntStream.range(0, features)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer j) -> -weights[from + j]).thenComparing(j -> j))
        .limit(kept)
        .mapToInt(Integer::intValue)
        .toArray();
  }
}
