package dev.kindling.dl4j;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Java's arrays into Deeplearning4j's. */
final class Floats {
  private Floats() {}

  /** Overwrites an array, of whatever shape, with as many values. */
  static void put(float[] values, INDArray into) {
    INDArray source = Nd4j.createFromArray(values);
    into.reshape(into.length()).assign(source);
    source.close();
  }
}
