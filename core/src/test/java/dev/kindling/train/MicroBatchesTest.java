package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.Arena;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The order in which micro-batches are begun, awaited and used, and what is left after a failure.
 */
class MicroBatchesTest {
  private final List<String> log = new ArrayList<>();

  /**
   * Writes down what is asked of it; a micro-batch's gradient is its number, once it is awaited.
   */
  private final class Scripted implements Model {
    private final int ahead;
    private final String fails;
    private int begun;

    Scripted(int ahead, String fails) {
      this.ahead = ahead;
      this.fails = fails;
    }

    private void does(String what) {
      log.add(what);
      if (what.equals(fails)) {
        throw new IllegalStateException(what);
      }
    }

    @Override
    public Pending begin(TokenBatch batch, float[] gradient) {
      int number = begun++;
      does("begin " + number);
      gradient[0] = -1;
      return () -> {
        does("await " + number);
        gradient[0] = number;
        return new BatchResult(number, 1, 1, 0, 1, 1);
      };
    }

    @Override
    public int ahead() {
      return ahead;
    }

    @Override
    public void load(float[] trainables) {}

    @Override
    public BatchResult evaluate(TokenBatch batch) {
      throw new UnsupportedOperationException();
    }

    @Override
    public Arena.Size stepBytes(TokenBatch.Shape batch, boolean training) {
      throw new UnsupportedOperationException();
    }

    @Override
    public float[] logits() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
  }

  private static Iterator<TokenBatch> batches(int count) {
    Golden golden = new Golden("bert");
    List<Example> rows = golden.batch(0);
    return IntStream.range(0, count)
        .mapToObj(i -> TokenBatch.of(rows, golden.plan.rules()))
        .iterator();
  }

  private void each(Model model, int count) {
    new MicroBatches(model, 1)
        .each(
            batches(count),
            (gradient, result) -> {
              assertThat(gradient).containsExactly((float) result.loss());
              log.add("use " + (int) result.loss());
              if (log.contains("fail in use")) {
                throw new IllegalStateException("use");
              }
            });
  }

  @Test
  void each_modelThatComputesAtOnce_usesEachBeforeTheNext() {
    each(new Scripted(1, ""), 3);
    assertThat(log)
        .containsExactly(
            "begin 0", "await 0", "use 0", "begin 1", "await 1", "use 1", "begin 2", "await 2",
            "use 2");
  }

  @Test
  void each_modelThatGoesOnByItself_beginsTheNextBeforeTheLastIsUsed() {
    each(new Scripted(2, ""), 4);
    assertThat(log)
        .containsExactly(
            "begin 0", "begin 1", "await 0", "use 0", "begin 2", "await 1", "use 1", "begin 3",
            "await 2", "use 2", "await 3", "use 3");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void each_noBatches_doesNothing(int ahead) {
    each(new Scripted(ahead, ""), 0);
    assertThat(log).isEmpty();
  }

  /** Whatever fails, what has begun is awaited, once. */
  @ParameterizedTest
  @CsvSource({"begin 1,begin 0 begin 1 await 0", "await 0,begin 0 begin 1 await 0 await 1"})
  void each_modelThatFails_leavesNothingUnderWay(String where, String wanted) {
    assertThatThrownBy(() -> each(new Scripted(2, where), 4)).hasMessage(where);
    assertThat(log).containsExactly(wanted.split(" (?=[ab])"));
  }

  @Test
  void each_useThatFails_leavesNothingUnderWay() {
    log.add("fail in use");
    assertThatThrownBy(() -> each(new Scripted(2, ""), 4)).hasMessage("use");
    assertThat(log)
        .containsExactly("fail in use", "begin 0", "begin 1", "await 0", "use 0", "await 1");
  }
}
