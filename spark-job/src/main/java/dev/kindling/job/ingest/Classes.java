package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Labels;
import dev.kindling.job.storage.Location;
import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** The classes of a data set that no head names: its distinct labels, sorted. */
public final class Classes {
  /** More distinct labels than this are no classes. */
  private static final int MOST = 10_000;

  private Classes() {}

  /** Reads all labels. */
  public static Labels of(SparkSession session, Query query) {
    Location location = query.location();
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    TreeSet<String> distinct = new TreeSet<>();
    List<byte[]> frames =
        Source.reading(
            location,
            () ->
                Tasks.runAll(
                    spark, Source.read(session, query, false).javaRDD(), Classes::distinct));
    for (byte[] frame : frames) {
      ByteBuffer in = ByteBuffer.wrap(frame);
      for (int n = in.getInt(); n > 0; n--) {
        distinct.add(Frames.string(in));
      }
    }
    distinct.remove("-100");
    if (distinct.size() > MOST) {
      throw new InvalidInput(
          location.key() + " " + location.text(),
          "has more than " + MOST + " distinct labels",
          "label must hold a class");
    }
    return Labels.sorted(distinct);
  }

  private static byte[] distinct(Iterator<Row> rows) {
    TreeSet<String> distinct = new TreeSet<>();
    while (rows.hasNext() && distinct.size() <= MOST) {
      String label = rows.next().getString(Source.LABEL);
      if (label != null) {
        distinct.add(label);
      }
    }
    ByteBuffer frame = ByteBuffer.allocate(4 + distinct.stream().mapToInt(Frames::bytes).sum());
    frame.putInt(distinct.size());
    distinct.forEach(label -> Frames.put(frame, label));
    return frame.array();
  }
}
