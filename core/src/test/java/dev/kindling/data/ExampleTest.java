package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Backend;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Rows as they travel. */
class ExampleTest {
  private static void same(Example found, Example expected) {
    assertThat(found.position()).isEqualTo(expected.position());
    assertThat(found.ids()).isEqualTo(expected.ids());
    assertThat(found.labels()).isEqualTo(expected.labels());
  }

  @Test
  void decode_encodedExample_isTheSame() {
    Example example = new Example(1L << 40, new int[] {101, 0, -7, 30521, 102}, new int[] {2});
    byte[] frame = example.encode();
    assertThat(frame).hasSize(example.encodedBytes());
    same(Example.decode(ByteBuffer.wrap(frame)), example);
  }

  /** One partition's rows travel in one frame, one behind the other, empty ones among them. */
  @Test
  void decode_severalInOneFrame_comeBackInOrder() {
    List<Example> examples =
        List.of(
            new Example(0, new int[] {1}, new int[] {0}),
            new Example(-1, new int[0], new int[0]),
            new Example(2, new int[] {3, 4, 5}, new int[] {1, Backend.IGNORED, 0}));
    ByteBuffer frame = ByteBuffer.allocate(examples.stream().mapToInt(Example::encodedBytes).sum());
    examples.forEach(e -> e.encode(frame));
    assertThat(frame.hasRemaining()).isFalse();
    frame.flip();
    for (Example example : examples) {
      same(Example.decode(frame), example);
    }
    assertThat(frame.hasRemaining()).isFalse();
  }

  @Test
  void at_otherPlace_keepsTheRow() {
    Example row = new Example(3, new int[] {8, 9}, new int[] {1});
    same(row.at(17), new Example(17, row.ids(), row.labels()));
  }
}
