package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Example;
import dev.kindling.data.Labels;
import dev.kindling.job.config.JobConfig.Format;
import dev.kindling.job.storage.Location;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.spark.SparkException;
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
 * <p>Spark cuts files into blocks and keeps the order within each. One pass tokenises and counts the
 * rows of every block; the driver sorts the blocks, not the rows, and each block learns the index of
 * its first row.
 */
public final class Examples {
  /** More distinct labels than this are no classes. */
  private static final int MOST_CLASSES = 10_000;

  private final JavaRDD<byte[]> frames;
  private final Broadcast<long[][]> firstIndices;
  private final long count;
  private final long tokens;
  private final long truncated;

  private Examples(
      JavaRDD<byte[]> frames, Broadcast<long[][]> firstIndices, long count, Part totals) {
    this.frames = frames;
    this.firstIndices = firstIndices;
    this.count = count;
    this.tokens = totals.tokens;
    this.truncated = totals.truncated;
  }

  /** Rows. */
  public long count() {
    return count;
  }

  /** Tokens of all rows. */
  public long tokens() {
    return tokens;
  }

  /** Rows whose text was cut. */
  public long truncated() {
    return truncated;
  }

  /** Frees what the executors keep. */
  public void release() {
    frames.unpersist(false);
    firstIndices.destroy();
  }

  /**
   * Tokenises a data set and checks every row of it.
   *
   * @param tokenizer bytes of tokenizer.json, empty if the base has none
   * @param maxTokens longest sequence
   * @param vocabulary token ids lie below it
   * @param classes class names in index order
   * @throws InvalidInput naming the first bad row, or that there is none at all
   */
  public static Examples read(
      SparkSession session,
      Location location,
      Format format,
      byte[] tokenizer,
      int maxTokens,
      int vocabulary,
      List<String> classes) {
    RowReader reader = new RowReader(format, tokenizer, maxTokens, vocabulary, classes);
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    JavaRDD<byte[]> frames =
        Source.read(session, location)
            .javaRDD()
            .mapPartitions(rows -> new Tokeniser(rows, reader))
            .persist(StorageLevel.MEMORY_AND_DISK_SER());
    List<Part> parts = new ArrayList<>();
    for (byte[] frame : runAll(spark, frames, location)) {
      parts.add(Part.decode(ByteBuffer.wrap(frame)));
    }
    return index(spark, frames, parts, location);
  }

  private static List<byte[]> runAll(
      JavaSparkContext spark, JavaRDD<byte[]> frames, Location location) {
    try {
      return Tasks.runAll(spark, frames, rows -> Part.of(rows).encode());
    } catch (Exception e) {
      if (e instanceof SparkException) {
        throw unreadable(location, e);
      }
      throw e;
    }
  }

  private static InvalidInput unreadable(Location location, Throwable e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return new InvalidInput(
        location.key() + " " + location.text(),
        "cannot be read: " + String.valueOf(root.getMessage()).lines().findFirst().orElse(""),
        "is a file damaged?");
  }

  /** Distinct labels, sorted into classes. */
  public static Labels labels(SparkSession session, Location location) {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    TreeSet<String> distinct = new TreeSet<>();
    try {
      JavaRDD<Row> rows = Source.read(session, location).javaRDD();
      for (byte[] frame : Tasks.runAll(spark, rows, Examples::distinctLabels)) {
        ByteBuffer in = ByteBuffer.wrap(frame);
        for (int n = in.getInt(); n > 0; n--) {
          distinct.add(string(in));
        }
      }
    } catch (Exception e) {
      if (e instanceof SparkException) {
        throw unreadable(location, e);
      }
      throw e;
    }
    distinct.remove("-100");
    if (distinct.size() > MOST_CLASSES) {
      throw new InvalidInput(
          location.key() + " " + location.text(),
          "has more than " + MOST_CLASSES + " distinct labels",
          "label must hold a class");
    }
    return Labels.sorted(distinct);
  }

  private static byte[] distinctLabels(Iterator<Row> rows) {
    TreeSet<String> distinct = new TreeSet<>();
    while (rows.hasNext() && distinct.size() <= MOST_CLASSES) {
      String label = rows.next().getString(Source.LABEL);
      if (label != null) {
        distinct.add(label);
      }
    }
    ByteBuffer frame =
        ByteBuffer.allocate(4 + distinct.stream().mapToInt(Examples::bytes).sum());
    frame.putInt(distinct.size());
    distinct.forEach(label -> put(frame, label));
    return frame.array();
  }

  private static Examples index(
      JavaSparkContext spark, JavaRDD<byte[]> frames, List<Part> parts, Location location) {
    Map<String, TreeMap<Long, Long>> rowsByBlock = new TreeMap<>();
    Part totals = new Part();
    for (Part part : parts) {
      totals.tokens += part.tokens;
      totals.truncated += part.truncated;
      for (Block block : part.blocks) {
        rowsByBlock.computeIfAbsent(block.path, p -> new TreeMap<>()).put(block.start, block.rows);
      }
    }
    Map<Block.Place, Long> first = new HashMap<>();
    long next = 0;
    for (var file : rowsByBlock.entrySet()) {
      for (var block : file.getValue().entrySet()) {
        first.put(new Block.Place(file.getKey(), block.getKey()), next);
        next += block.getValue();
      }
    }
    refuseBadRows(parts, first, rowsByBlock, location);
    if (next == 0) {
      frames.unpersist(false);
      throw new InvalidInput(
          location.key() + " " + location.text(), "holds no rows", "expected at least one");
    }
    long[][] byPartition = new long[parts.size()][];
    for (int p = 0; p < byPartition.length; p++) {
      byPartition[p] = parts.get(p).blocks.stream().mapToLong(b -> first.get(b.place())).toArray();
    }
    return new Examples(frames, spark.broadcast(byPartition), next, totals);
  }

  private static void refuseBadRows(
      List<Part> parts,
      Map<Block.Place, Long> first,
      Map<String, TreeMap<Long, Long>> rowsByBlock,
      Location location) {
    parts.stream()
        .filter(part -> part.problem != null)
        .min(Comparator.comparing(part -> first.get(part.last().place()) + part.last().rows))
        .ifPresent(
            part -> {
              Block block = part.last();
              long fileStart =
                  first.get(
                      new Block.Place(block.path, rowsByBlock.get(block.path).firstKey()));
              long row = first.get(block.place()) - fileStart + block.rows;
              throw new InvalidInput(
                  String.format(Locale.ROOT, "%s %s, row %,d", location.key(), block.path, row),
                  part.problem.found(),
                  part.problem.expected());
            });
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
          if (frame.get() == Tokeniser.BLOCK) {
            block++;
          } else {
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

  /** Rows of one block of a file. */
  private record Block(String path, long start, long rows) {
    record Place(String path, long start) {}

    Place place() {
      return new Place(path, start);
    }
  }

  /** Mutable: what one partition holds. */
  private static final class Part {
    private final List<Block> blocks = new ArrayList<>();
    private long tokens;
    private long truncated;
    private @Nullable InvalidInput problem;

    static Part of(Iterator<byte[]> frames) {
      Part part = new Part();
      while (frames.hasNext()) {
        ByteBuffer frame = ByteBuffer.wrap(frames.next());
        byte kind = frame.get();
        if (kind == Tokeniser.BLOCK) {
          part.blocks.add(new Block(string(frame), frame.getLong(), 0));
          continue;
        }
        Block last = part.last();
        part.blocks.set(
            part.blocks.size() - 1, new Block(last.path, last.start, last.rows + 1));
        if (kind == Tokeniser.PROBLEM) {
          part.problem = new InvalidInput("row", string(frame), string(frame));
          break;
        }
        part.truncated += frame.get();
        part.tokens += Example.decode(frame).ids().length;
      }
      return part;
    }

    Block last() {
      return blocks.get(blocks.size() - 1);
    }

    byte[] encode() {
      int size = 4 + 17;
      for (Block block : blocks) {
        size += bytes(block.path) + 16;
      }
      String found = problem == null ? "" : problem.found();
      String expected = problem == null ? "" : problem.expected();
      ByteBuffer frame = ByteBuffer.allocate(size + bytes(found) + bytes(expected));
      frame.putInt(blocks.size());
      for (Block block : blocks) {
        put(frame, block.path);
        frame.putLong(block.start).putLong(block.rows);
      }
      frame.putLong(tokens).putLong(truncated).put((byte) (problem == null ? 0 : 1));
      put(frame, found);
      put(frame, expected);
      return frame.array();
    }

    static Part decode(ByteBuffer frame) {
      Part part = new Part();
      for (int n = frame.getInt(); n > 0; n--) {
        part.blocks.add(new Block(string(frame), frame.getLong(), frame.getLong()));
      }
      part.tokens = frame.getLong();
      part.truncated = frame.getLong();
      boolean bad = frame.get() == 1;
      InvalidInput problem = new InvalidInput("row", string(frame), string(frame));
      part.problem = bad ? problem : null;
      return part;
    }
  }

  static int bytes(String text) {
    return 4 + text.getBytes(StandardCharsets.UTF_8).length;
  }

  static void put(ByteBuffer frame, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    frame.putInt(utf8.length).put(utf8);
  }

  static String string(ByteBuffer frame) {
    byte[] utf8 = new byte[frame.getInt()];
    frame.get(utf8);
    return new String(utf8, StandardCharsets.UTF_8);
  }
}
