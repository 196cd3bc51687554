package dev.kindling.tensor.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every piece once, and nobody at work once the call has ended, however it ends. */
class WorkersTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void each_andEachRow_doEveryPieceOnce(int threads) {
    try (Workers workers = new Workers(threads)) {
      for (int count : new int[] {0, 1, 2, 64, 65, 1000}) {
        AtomicIntegerArray pieces = new AtomicIntegerArray(count);
        AtomicIntegerArray rows = new AtomicIntegerArray(count);
        workers.each(count, (worker, piece) -> pieces.incrementAndGet(piece));
        workers.eachRow(
            count,
            (worker, row) -> {
              assertThat(worker).isBetween(0, threads - 1);
              rows.incrementAndGet(row);
            });
        for (int i = 0; i < count; i++) {
          assertThat(pieces.get(i)).isEqualTo(1);
          assertThat(rows.get(i)).isEqualTo(1);
        }
      }
    }
  }

  /** Scratch may be freed as soon as the call has thrown. */
  @Test
  void each_oneFails_throwsWhenTheOthersAreDone() {
    CountDownLatch failing = new CountDownLatch(1);
    AtomicBoolean done = new AtomicBoolean();
    try (Workers workers = new Workers(2)) {
      assertThatThrownBy(
              () ->
                  workers.each(
                      2,
                      (worker, piece) -> {
                        if (piece == 0) {
                          failing.countDown();
                          throw new IllegalArgumentException("piece 0");
                        }
                        await(failing);
                        done.set(true);
                      }))
          .isInstanceOf(IllegalStateException.class)
          .hasRootCauseMessage("piece 0");
      assertThat(done).isTrue();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
