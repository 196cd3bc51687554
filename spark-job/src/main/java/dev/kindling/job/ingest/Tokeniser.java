package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Example;
import dev.kindling.data.LanguageText;
import dev.kindling.tensor.Backend;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.Row;
import org.apache.spark.util.TaskCompletionListener;

/**
 * The rows of a partition as byte frames: a frame for each block of a file that begins, then one
 * for each of its examples, numbered within the block. A row that cannot be used becomes the last
 * frame, unless such rows are dropped.
 */
final class Tokeniser implements Iterator<byte[]> {
  /** Frame {BLOCK, path, first byte of the block}. */
  static final byte BLOCK = 0;

  /** Frame {EXAMPLE, flags, example}. */
  static final byte EXAMPLE = 1;

  /** Frame {PROBLEM, flags, found, expected}. */
  static final byte PROBLEM = 2;

  /** Frame {DROPPED, flags, found, expected}. */
  static final byte DROPPED = 4;

  /** Frame {NOTHING, flags}: a row without examples, or after a problem. */
  static final byte NOTHING = 3;

  /** Flag: the first or only frame of its row. */
  static final byte FIRST_OF_ROW = 1;

  /** Flag: the text was cut to fit. */
  static final byte TRUNCATED = 2;

  /** Flag: no label counts. */
  static final byte TARGETLESS = 4;

  private final Iterator<Row> rows;
  private final RowReader.Opened reader;

  /** A language model never predicts the first token. */
  private final int firstTarget;

  private final boolean drops;

  private final Deque<byte[]> ready = new ArrayDeque<>();
  private String path = "";
  private long start = -1;
  private long position;
  private boolean stopped;

  Tokeniser(Iterator<Row> rows, RowReader reader) {
    this.rows = rows;
    this.reader = reader.open();
    this.firstTarget = reader.nextToken() ? 1 : 0;
    this.drops = reader.dropsBadRows();
    TaskContext.get()
        .addTaskCompletionListener((TaskCompletionListener) task -> this.reader.close());
  }

  @Override
  public boolean hasNext() {
    return !ready.isEmpty() || rows.hasNext();
  }

  @Override
  public byte[] next() {
    if (ready.isEmpty()) {
      read(rows.next());
    }
    return ready.remove();
  }

  private byte flags(LanguageText.Piece piece) {
    boolean teaches =
        Arrays.stream(piece.labels()).skip(firstTarget).anyMatch(l -> l != Backend.IGNORED);
    return (byte) ((piece.truncated() ? TRUNCATED : 0) | (teaches ? 0 : TARGETLESS));
  }

  private void read(Row row) {
    String rowPath = row.getString(Source.PATH);
    long rowStart = row.getLong(Source.BLOCK);
    if (rowStart != start || !rowPath.equals(path)) {
      path = rowPath;
      start = rowStart;
      position = 0;
      ByteBuffer frame = ByteBuffer.allocate(9 + Frames.bytes(path));
      frame.put(BLOCK);
      Frames.put(frame, path);
      ready.add(frame.putLong(start).array());
    }
    if (stopped) {
      ready.add(new byte[] {NOTHING, FIRST_OF_ROW});
      return;
    }
    try {
      List<LanguageText.Piece> pieces = reader.read(row);
      if (pieces.isEmpty()) {
        ready.add(new byte[] {NOTHING, FIRST_OF_ROW});
      }
      byte flags = FIRST_OF_ROW;
      for (LanguageText.Piece piece : pieces) {
        Example example = new Example(position++, piece.ids(), piece.labels());
        ByteBuffer frame = ByteBuffer.allocate(2 + example.encodedBytes());
        frame.put(EXAMPLE).put((byte) (flags | flags(piece)));
        example.encode(frame);
        ready.add(frame.array());
        flags = 0;
      }
    } catch (InvalidInput e) {
      int size = 2 + Frames.bytes(e.found()) + Frames.bytes(e.expected());
      ByteBuffer frame = ByteBuffer.allocate(size).put(drops ? DROPPED : PROBLEM).put(FIRST_OF_ROW);
      Frames.put(frame, e.found());
      Frames.put(frame, e.expected());
      ready.add(frame.array());
      stopped = !drops;
    }
  }
}
