package dev.kindling.job.averaging;

import com.esotericsoftware.kryo.Kryo;
import dev.kindling.tensor.cpu.CpuMemory;
import org.apache.spark.serializer.KryoRegistrator;
import org.nd4j.kryo.Nd4jSerializer;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Tells Spark's Kryo how ND4J's arrays, which are native memory, travel. ND4J's own registrator
 * would bring serializers of Java's collections along, which nothing here needs.
 */
public final class ArrayRegistrator implements KryoRegistrator {
  static {
    CpuMemory.lifted(); // before ND4J loads, on executors too
  }

  @Override
  public void registerClasses(Kryo kryo) {
    kryo.register(Nd4j.getBackend().getNDArrayClass(), new Nd4jSerializer());
  }
}
