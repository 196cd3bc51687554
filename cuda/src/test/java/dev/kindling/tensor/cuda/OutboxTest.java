package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** What is sent arrives, though the device reads it no sooner than somebody waits. */
class OutboxTest {
  private static final int HALF = 256;

  /** Reads as late as it may. */
  private static final class Late implements Outbox.Line {
    private record Sent(ByteBuffer part, long to) {}

    private final List<Sent> onTheWay = new ArrayList<>();
    private final NavigableMap<Long, byte[]> arrived = new TreeMap<>();
    private int waited;

    @Override
    public void send(ByteBuffer part, long to) {
      assertThat(part.remaining()).isPositive();
      onTheWay.add(new Sent(part, to));
    }

    @Override
    public Runnable read() {
      int before = onTheWay.size();
      return () -> {
        waited++;
        for (int i = arrived.size(); i < before; i++) {
          byte[] bytes = new byte[onTheWay.get(i).part.remaining()];
          onTheWay.get(i).part.get(bytes);
          arrived.put(onTheWay.get(i).to, bytes);
        }
      };
    }
  }

  @Test
  void send_manyPieces_arriveWhole() {
    Late line = new Late();
    Outbox outbox = new Outbox(ByteBuffer.allocateDirect(2 * HALF), line);
    assertThat(outbox.takes(HALF)).isTrue();
    assertThat(outbox.takes(HALF + 1)).isFalse();
    SplittableRandom random = new SplittableRandom(5);
    List<byte[]> sent = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      byte[] piece = new byte[i % 50 == 0 ? HALF : random.nextInt(1, HALF / 3)];
      random.nextBytes(piece);
      ByteBuffer from = ByteBuffer.allocateDirect(piece.length).put(piece).flip();
      outbox.send(from, i);
      assertThat(from.remaining()).isEqualTo(piece.length);
      from.put(new byte[piece.length]); // it is the sender's again
      sent.add(piece);
    }
    assertThat(line.waited).as("many pieces for each wait").isLessThan(100);
    outbox.close();
    assertThat(line.arrived).hasSize(200);
    line.arrived.forEach((to, bytes) -> assertThat(bytes).isEqualTo(sent.get(to.intValue())));
  }
}
