package dev.kindling.job.ingest;

import dev.kindling.data.Example;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * One micro-batch as it lies in a partition.
 *
 * @param step from 0
 * @param rows each of one example, or of several behind each other
 */
public record MicroBatch(long step, List<List<Example>> rows) {
  static byte[] encode(long step, List<List<Example>> rows) {
    int size = 12;
    for (List<Example> row : rows) {
      size += 4 + row.stream().mapToInt(Example::encodedBytes).sum();
    }
    ByteBuffer frame = ByteBuffer.allocate(size).putLong(step).putInt(rows.size());
    for (List<Example> row : rows) {
      frame.putInt(row.size());
      row.forEach(example -> example.encode(frame));
    }
    return frame.array();
  }

  /** The step of a frame, without decoding its rows. */
  public static long step(byte[] encoded) {
    return ByteBuffer.wrap(encoded).getLong();
  }

  /** Decodes a frame. */
  public static MicroBatch decode(byte[] encoded) {
    ByteBuffer frame = ByteBuffer.wrap(encoded);
    long step = frame.getLong();
    List<List<Example>> rows = new ArrayList<>();
    for (int n = frame.getInt(); n > 0; n--) {
      List<Example> row = new ArrayList<>();
      for (int m = frame.getInt(); m > 0; m--) {
        row.add(Example.decode(frame));
      }
      rows.add(row);
    }
    return new MicroBatch(step, rows);
  }
}
