package dev.kindling.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.Halves;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Cross entropy in chunks is cross entropy. */
class TokenLossTest {
  private static final int TOKENS = 11;
  private static final int HIDDEN = 5;
  private static final int VOCABULARY = 13;

  private final Backend backend = new ReferenceBackend();
  private final Random random = new Random(3);

  private Tensor filled(long... shape) {
    Tensor t = backend.allocate(DType.F64, shape);
    for (int i = 0; i < t.elements(); i++) {
      ReferenceBackend.set(t, i, random.nextGaussian());
    }
    return t;
  }

  /** Chunks of one token, of four (the last one shorter), and all at once. */
  @ParameterizedTest
  @ValueSource(ints = {1, 4, 11})
  void lossAndGradient_anyChunk_equalsTheWholeMatrix(int rows) {
    Tensor table = filled(VOCABULARY, HIDDEN);
    FrozenMatrix head = backend.freeze(table);
    Tensor h = filled(TOKENS, HIDDEN);
    Tensor labels = backend.allocate(DType.I32, TOKENS);
    int[] label = new int[TOKENS];
    for (int t = 0; t < TOKENS; t++) {
      label[t] = t % 4 == 3 ? Backend.IGNORED : random.nextInt(VOCABULARY);
    }
    backend.write(labels, label);

    Tensor logits = backend.allocate(DType.F64, TOKENS, VOCABULARY);
    Tensor losses = backend.allocate(DType.F64, TOKENS);
    Tensor dlogits = backend.allocate(DType.F64, TOKENS, VOCABULARY);
    Tensor dh = backend.allocate(DType.F64, TOKENS, HIDDEN);
    backend.linear(h, head, null, logits, false);
    backend.crossEntropy(logits, labels, losses, dlogits);
    backend.linearBackward(dlogits, head, dh, false);

    TokenLoss loss =
        new TokenLoss(
            backend,
            new FrozenLinear(backend, head, null),
            VOCABULARY,
            (long) rows * VOCABULARY * 8 + 7);
    assertThat(loss.chunk(TOKENS)).isEqualTo(rows);
    Tensor ours = backend.allocate(DType.F64, TOKENS);
    Tensor gradient = backend.allocate(DType.F64, TOKENS, HIDDEN);
    Arena arena = new Arena(backend);
    Linear.Scratch linear = arena.lay(a -> Linear.Scratch.take(a, TOKENS, List.of()));
    TokenLoss.Scratch scratch = new Arena(backend).lay(a -> loss.scratch(a, TOKENS));
    loss.lossesAndGradient(h, labels, ours, gradient, scratch, linear);
    assertThat(ReferenceBackend.values(ours)).isEqualTo(ReferenceBackend.values(losses));
    assertThat(ReferenceBackend.values(gradient)).isEqualTo(ReferenceBackend.values(dh));
  }

  /**
   * A head that learns adds its chunks' gradients up: dropout, a pair, a weight trained in full.
   */
  @ParameterizedTest
  @ValueSource(ints = {1, 4, 10})
  void lossesAndGradient_headThatLearns_isThatOfOneChunk(int rows) {
    Tensor[] once = learned(TOKENS);
    Tensor[] chunked = learned(rows);
    for (int i = 0; i < once.length; i++) {
      double[] expected = ReferenceBackend.values(once[i]);
      double[] found = ReferenceBackend.values(chunked[i]);
      for (int j = 0; j < expected.length; j++) {
        assertThat(found[j]).isCloseTo(expected[j], offset(1e-12));
      }
      assertThat(Arrays.stream(expected).map(Math::abs).max().orElseThrow()).isGreaterThan(0.01);
    }
  }

  /** Gradients of a, b, a trained w, and h. */
  private Tensor[] learned(int chunk) {
    random.setSeed(5);
    Tensor a = filled(2, HIDDEN);
    Tensor b = filled(VOCABULARY, 2);
    Tensor w = filled(VOCABULARY, HIDDEN);
    Tensor h = filled(TOKENS, HIDDEN);
    Tensor labels = backend.allocate(DType.I32, TOKENS);
    backend.write(labels, random.ints(TOKENS, 0, VOCABULARY).toArray());
    Tensor[] gradients = {
      filled(2, HIDDEN), filled(VOCABULARY, 2), filled(VOCABULARY, HIDDEN), filled(TOKENS, HIDDEN)
    };
    Linear pair =
        new LoraLinear(
            backend,
            backend.freeze(w),
            null,
            a,
            b,
            gradients[0],
            gradients[1],
            2,
            0.4,
            7,
            Halves.BOTH,
            null,
            sizes -> PairPlan.PLAIN);
    Linear whole = new TrainedLinear(backend, w, null, gradients[2], null);
    for (Linear head : List.of(pair, whole)) {
      TokenLoss loss = new TokenLoss(backend, head, VOCABULARY, (long) chunk * VOCABULARY * 8);
      Linear.Scratch linear =
          new Arena(backend).lay(x -> Linear.Scratch.take(x, TOKENS, List.of(loss)));
      backend.write(linear.keys(), random.longs(TOKENS).toArray());
      TokenLoss.Scratch scratch = new Arena(backend).lay(x -> loss.scratch(x, TOKENS));
      Tensor losses = backend.allocate(DType.F64, TOKENS);
      loss.lossesAndGradient(h, labels, losses, gradients[3], scratch, linear);
    }
    return gradients;
  }
}
