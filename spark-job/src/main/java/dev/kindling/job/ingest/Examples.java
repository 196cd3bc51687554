package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Example;
import dev.kindling.job.storage.Location;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import org.jspecify.annotations.Nullable;

/**
 * A tokenised data set on the executors, every example knowing its index: its rank by (file path,
 * offset in the file), whatever the partitions.
 *
 * <p>Spark cuts files into blocks and keeps the order within each. One pass tokenises and counts
 * the rows of every block; the driver sorts the blocks, not the rows, and each block learns the
 * index of its first row.
 */
public final class Examples {
  private final JavaRDD<byte[]> frames;
  private final Broadcast<long[][]> firstIndices;
  private final long count;
  private final long tokens;
  private final long truncated;
  private final int longest;
  private final long targetless;
  private final long digest;
  private final long dropped;
  private final List<String> quoted;

  private Examples(
      JavaRDD<byte[]> frames,
      Broadcast<long[][]> firstIndices,
      long count,
      Survey totals,
      long digest,
      List<String> quoted) {
    this.digest = digest;
    this.dropped = totals.dropped;
    this.quoted = quoted;
    this.frames = frames;
    this.firstIndices = firstIndices;
    this.count = count;
    this.tokens = totals.tokens;
    this.truncated = totals.truncated;
    this.longest = totals.longest;
    this.targetless = totals.targetless;
  }

  /** Rows. */
  public long count() {
    return count;
  }

  /** Of what every example holds and of their order, however the data was partitioned. */
  public String digest() {
    return String.format(Locale.ROOT, "%016x of %d examples", digest, count);
  }

  /** Tokens of all rows. */
  public long tokens() {
    return tokens;
  }

  /** Rows whose text was cut. */
  public long truncated() {
    return truncated;
  }

  /** Examples that teach nothing: no label counts, or only a prompt was left. */
  public long targetless() {
    return targetless;
  }

  /** Rows that could not be used and were dropped, as {@code data.on-bad-row = drop} asks. */
  public long dropped() {
    return dropped;
  }

  /** Where the first of them are and what is wrong with each. */
  public List<String> quoted() {
    return quoted;
  }

  /** Tokens of the longest row. */
  public int longest() {
    return longest;
  }

  /** Frees what the executors keep. */
  public void release() {
    frames.unpersist(false);
    firstIndices.destroy();
  }

  /**
   * Tokenises a data set and checks every row of it.
   *
   * @param reader of its rows
   * @throws InvalidInput naming a bad row, or that there is none at all
   */
  public static Examples read(SparkSession session, Query query, RowReader reader) {
    Location location = query.location();
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    JavaRDD<byte[]> frames =
        rows(session, query, reader.nextToken())
            .mapPartitions(rows -> new Tokeniser(rows, reader))
            .persist(StorageLevel.MEMORY_AND_DISK_SER());
    List<Survey> parts = new ArrayList<>();
    List<byte[]> surveys =
        Source.reading(
            location, () -> Tasks.runAll(spark, frames, rows -> Survey.of(rows).encode()));
    surveys.forEach(frame -> parts.add(Survey.decode(ByteBuffer.wrap(frame))));
    return index(spark, frames, parts, query);
  }

  /** To put a table's rows in order, Spark reads them already. */
  private static JavaRDD<Row> rows(SparkSession session, Query query, boolean nextToken) {
    session.sparkContext().setJobDescription("read " + query.location().key());
    return Source.reading(query.location(), () -> Source.read(session, query, nextToken).javaRDD());
  }

  private static Examples index(
      JavaSparkContext spark, JavaRDD<byte[]> frames, List<Survey> parts, Query query) {
    Location location = query.location();
    Map<String, NavigableMap<Long, Survey.Block>> blocks = new TreeMap<>();
    Survey totals = new Survey();
    for (Survey part : parts) {
      totals.tokens += part.tokens;
      totals.truncated += part.truncated;
      totals.targetless += part.targetless;
      totals.dropped += part.dropped;
      totals.longest = Math.max(totals.longest, part.longest);
      for (Survey.Block block : part.blocks) {
        blocks.computeIfAbsent(block.path(), p -> new TreeMap<>()).put(block.start(), block);
      }
    }
    Map<Survey.Place, Long> first = new HashMap<>();
    long next = 0;
    long digest = 0;
    for (var file : blocks.values()) {
      for (Survey.Block block : file.values()) {
        first.put(block.place(), next);
        next += block.examples();
        digest = Digest.join(digest, block.digest(), block.examples());
      }
    }
    List<String> dropped = badRows(parts, first, blocks, query);
    if (next == 0) {
      frames.unpersist(false);
      throw new InvalidInput(
          location.key() + " " + location.text(),
          dropped.isEmpty() ? "holds no rows" : "holds no row that can be used: " + dropped.get(0),
          "expected at least one");
    }
    long[][] byPartition = new long[parts.size()][];
    for (int p = 0; p < byPartition.length; p++) {
      byPartition[p] = parts.get(p).blocks.stream().mapToLong(b -> first.get(b.place())).toArray();
    }
    long count = Math.min(next, query.limit().map(Long::valueOf).orElse(next));
    return new Examples(frames, spark.broadcast(byPartition), count, totals, digest, dropped);
  }

  /**
   * What is wrong with the first rows that cannot be used.
   *
   * @throws InvalidInput of the very first, unless such rows are dropped
   */
  private static List<String> badRows(
      List<Survey> parts,
      Map<Survey.Place, Long> first,
      Map<String, NavigableMap<Long, Survey.Block>> blocks,
      Query query) {
    record Bad(long block, Survey.BadRow row, Survey part) {}
    List<Bad> bad = new ArrayList<>();
    for (Survey part : parts) {
      part.problems.forEach(
          row -> bad.add(new Bad(first.get(part.blocks.get(row.block()).place()), row, part)));
    }
    bad.sort(Comparator.comparingLong(Bad::block).thenComparingLong(b -> b.row.row()));
    List<String> quoted = new ArrayList<>();
    for (Bad one : bad.subList(0, Math.min(Survey.QUOTED, bad.size()))) {
      Survey.Block block = one.part.blocks.get(one.row.block());
      long before =
          blocks.get(block.path()).headMap(block.start()).values().stream()
              .mapToLong(Survey.Block::rows)
              .sum();
      InvalidInput what = one.row.what();
      String where =
          String.format(
              Locale.ROOT,
              "%s %s, row %,d",
              query.location().key(),
              block.path(),
              before + one.row.row());
      if (one.part.dropped == 0) {
        throw new InvalidInput(where, what.found(), what.expected());
      }
      quoted.add(where + " " + what.found());
    }
    return quoted;
  }

  /**
   * Visits the examples of a partition with {@code position} set to their index. To be called in a
   * task over {@link #frames}.
   */
  static Iterator<Example> indexed(Iterator<byte[]> frames, long[][] firstIndices) {
    long[] first = firstIndices[TaskContext.getPartitionId()];
    return new Iterator<>() {
      private int block = -1;
      private @Nullable Example next = advance();

      private @Nullable Example advance() {
        while (frames.hasNext()) {
          ByteBuffer frame = ByteBuffer.wrap(frames.next());
          byte kind = frame.get();
          if (kind == Tokeniser.BLOCK) {
            block++;
          } else if (kind == Tokeniser.EXAMPLE) {
            frame.get();
            Example example = Example.decode(frame);
            return example.at(first[block] + example.position());
          }
        }
        return null;
      }

      @Override
      public boolean hasNext() {
        return next != null;
      }

      @Override
      public Example next() {
        Example now = next;
        if (now == null) {
          throw new java.util.NoSuchElementException();
        }
        next = advance();
        return now;
      }
    };
  }

  JavaRDD<byte[]> frames() {
    return frames;
  }

  Broadcast<long[][]> firstIndices() {
    return firstIndices;
  }
}
