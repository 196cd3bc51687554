package dev.kindling.job.ingest;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.ObjIntConsumer;
import java.util.stream.IntStream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import scala.collection.JavaConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/**
 * Runs one short stage over some partitions of an RDD. Results travel as task results, one small
 * byte frame for each partition: never rows.
 */
public final class Tasks {
  private Tasks() {}

  /** What a task makes of its partition: a byte frame that encodes itself. */
  public interface Work<T> extends Serializable {
    byte[] run(Iterator<T> rows) throws Exception;
  }

  /** Frames in the order of {@code partitions}. */
  public static <T> List<byte[]> run(
      JavaSparkContext spark, JavaRDD<T> rdd, List<Integer> partitions, Work<T> work) {
    byte[][] frames = new byte[partitions.size()][];
    each(spark, rdd, partitions, work, (frame, index) -> frames[index] = frame);
    return List.of(frames);
  }

  /**
   * The same, each frame as it arrives: none is kept, so that the driver holds but a few at a time.
   *
   * @param each given a frame and the place of its partition; called by one thread at a time
   */
  public static <T> void each(
      JavaSparkContext spark,
      JavaRDD<T> rdd,
      List<Integer> partitions,
      Work<T> work,
      ObjIntConsumer<byte[]> each) {
    List<Object> boxed = new ArrayList<>(partitions);
    spark
        .sc()
        .runJob(
            rdd.rdd(),
            new Adapter<>(work),
            JavaConverters.asScalaBuffer(boxed),
            new AbstractFunction2<Object, byte[], BoxedUnit>() {
              @Override
              public BoxedUnit apply(Object index, byte[] frame) {
                each.accept(frame, (Integer) index);
                return BoxedUnit.UNIT;
              }
            },
            ClassTag$.MODULE$.apply(byte[].class));
  }

  /** Frames of all partitions, in their order. */
  public static <T> List<byte[]> runAll(JavaSparkContext spark, JavaRDD<T> rdd, Work<T> work) {
    return run(spark, rdd, IntStream.range(0, rdd.getNumPartitions()).boxed().toList(), work);
  }

  /** Scala's function of a task and its rows. */
  private static final class Adapter<T>
      extends AbstractFunction2<TaskContext, scala.collection.Iterator<T>, byte[]>
      implements Serializable {
    private static final long serialVersionUID = 1;
    private final Work<T> work;

    Adapter(Work<T> work) {
      this.work = work;
    }

    @Override
    public byte[] apply(TaskContext task, scala.collection.Iterator<T> rows) {
      try {
        return work.run(JavaConverters.asJavaIterator(rows));
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
