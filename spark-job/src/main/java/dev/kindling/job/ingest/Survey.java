package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Example;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Mutable: what one partition of a tokenised data set holds, without its rows. */
final class Survey {
  final List<Block> blocks = new ArrayList<>();
  long tokens;
  long truncated;
  long targetless;
  int longest;

  /** Bad rows that are quoted, of each partition and of all. */
  static final int QUOTED = 5;

  /** The first ones. */
  final List<BadRow> problems = new ArrayList<>();

  /** Bad rows that are left out; 0 where the first one ends everything. */
  long dropped;

  /**
   * A row that cannot be used.
   *
   * @param block its block's place in {@link #blocks}
   * @param row its number within the block, from 1
   */
  record BadRow(int block, long row, InvalidInput what) {
    static BadRow decode(int block, long row, ByteBuffer frame) {
      return new BadRow(
          block, row, new InvalidInput("row", Frames.string(frame), Frames.string(frame)));
    }
  }

  /** Which part of which file. */
  record Place(String path, long start) {}

  /**
   * One block of a file.
   *
   * @param rows of the file
   * @param examples that they became
   * @param digest of the examples, in order ({@link Digest})
   */
  record Block(String path, long start, long rows, long examples, long digest) {
    Place place() {
      return new Place(path, start);
    }
  }

  /** Counts the frames of a {@link Tokeniser}. */
  static Survey of(Iterator<byte[]> frames) {
    Survey part = new Survey();
    while (frames.hasNext()) {
      ByteBuffer frame = ByteBuffer.wrap(frames.next());
      byte kind = frame.get();
      if (kind == Tokeniser.BLOCK) {
        part.blocks.add(new Block(Frames.string(frame), frame.getLong(), 0, 0, 0));
        continue;
      }
      Block last = part.last();
      byte flags = frame.get();
      int begins = (flags & Tokeniser.FIRST_OF_ROW) == 0 ? 0 : 1;
      Example example = kind == Tokeniser.EXAMPLE ? Example.decode(frame) : null;
      part.blocks.set(
          part.blocks.size() - 1,
          new Block(
              last.path,
              last.start,
              last.rows + begins,
              last.examples + (example == null ? 0 : 1),
              example == null ? last.digest : Digest.append(last.digest, example)));
      boolean bad = kind == Tokeniser.PROBLEM || kind == Tokeniser.DROPPED;
      if (bad && part.problems.size() < QUOTED) {
        part.problems.add(BadRow.decode(part.blocks.size() - 1, last.rows + 1, frame));
      }
      part.dropped += kind == Tokeniser.DROPPED ? 1 : 0;
      if (example == null) {
        continue;
      }
      part.truncated += (flags & Tokeniser.TRUNCATED) == 0 ? 0 : 1;
      part.targetless += (flags & Tokeniser.TARGETLESS) == 0 ? 0 : 1;
      int length = example.ids().length;
      part.tokens += length;
      part.longest = Math.max(part.longest, length);
    }
    return part;
  }

  /** The block that the latest row belongs to. */
  Block last() {
    return blocks.get(blocks.size() - 1);
  }

  byte[] encode() {
    int size = 4 + 40;
    for (Block block : blocks) {
      size += Frames.bytes(block.path) + 32;
    }
    for (BadRow problem : problems) {
      size += 12 + Frames.bytes(problem.what.found()) + Frames.bytes(problem.what.expected());
    }
    ByteBuffer frame = ByteBuffer.allocate(size);
    frame.putInt(blocks.size());
    for (Block block : blocks) {
      Frames.put(frame, block.path);
      frame.putLong(block.start).putLong(block.rows).putLong(block.examples);
      frame.putLong(block.digest);
    }
    frame
        .putLong(tokens)
        .putLong(truncated)
        .putLong(targetless)
        .putInt(longest)
        .putLong(dropped)
        .putInt(problems.size());
    for (BadRow problem : problems) {
      frame.putInt(problem.block).putLong(problem.row);
      Frames.put(frame, problem.what.found());
      Frames.put(frame, problem.what.expected());
    }
    return frame.array();
  }

  static Survey decode(ByteBuffer frame) {
    Survey part = new Survey();
    for (int n = frame.getInt(); n > 0; n--) {
      part.blocks.add(
          new Block(
              Frames.string(frame),
              frame.getLong(),
              frame.getLong(),
              frame.getLong(),
              frame.getLong()));
    }
    part.tokens = frame.getLong();
    part.truncated = frame.getLong();
    part.targetless = frame.getLong();
    part.longest = frame.getInt();
    part.dropped = frame.getLong();
    for (int n = frame.getInt(); n > 0; n--) {
      part.problems.add(BadRow.decode(frame.getInt(), frame.getLong(), frame));
    }
    return part;
  }
}
