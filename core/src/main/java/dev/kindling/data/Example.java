package dev.kindling.data;

import dev.kindling.tensor.Backend;
import java.nio.ByteBuffer;

/**
 * One tokenised row.
 *
 * @param position place in the stream of batches (or of an evaluation)
 * @param ids token ids, specials included
 * @param labels of a classifier one class; of a language model one for each id, of which the first
 *     is never predicted; {@link Backend#IGNORED} where there is no target
 */
public record Example(long position, int[] ids, int[] labels) {
  /** The same row at another place. */
  public Example at(long other) {
    return new Example(other, ids, labels);
  }

  /** Bytes that {@link #encode} writes. */
  public int encodedBytes() {
    return 16 + 4 * (ids.length + labels.length);
  }

  /** Appends this example to a frame. */
  public void encode(ByteBuffer frame) {
    frame.putLong(position).putInt(ids.length).putInt(labels.length);
    frame.asIntBuffer().put(ids).put(labels);
    frame.position(frame.position() + 4 * (ids.length + labels.length));
  }

  /** The frame of one example. */
  public byte[] encode() {
    ByteBuffer frame = ByteBuffer.allocate(encodedBytes());
    encode(frame);
    return frame.array();
  }

  /** Reads the next example of a frame. */
  public static Example decode(ByteBuffer frame) {
    long position = frame.getLong();
    int[] ids = new int[frame.getInt()];
    int[] labels = new int[frame.getInt()];
    frame.asIntBuffer().get(ids).get(labels);
    frame.position(frame.position() + 4 * (ids.length + labels.length));
    return new Example(position, ids, labels);
  }
}
