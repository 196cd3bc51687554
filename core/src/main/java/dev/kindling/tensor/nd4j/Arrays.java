package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.indexer.FloatIndexer;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** A tensor as ND4J sees it: 12 µs to make. */
final class Arrays {
  private Arrays() {}

  /** A row-major view of the first elements, without a copy. */
  static INDArray array(Tensor tensor, long... shape) {
    FloatPointer data = CpuMemory.pointer(tensor);
    DataBuffer buffer =
        Nd4j.getDataBufferFactory()
            .create(
                data, DataType.FLOAT, Math.max(tensor.elements(), 1), FloatIndexer.create(data));
    return Nd4j.create(buffer, shape, Nd4j.getStrides(shape, 'c'), 0, 'c');
  }
}
