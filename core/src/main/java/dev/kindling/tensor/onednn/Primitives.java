package dev.kindling.tensor.onednn;

import dev.kindling.tensor.nd4j.OmpThreads;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.bytedeco.dnnl.engine;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.stream;

/**
 * Mutable: one thread's primitives, made once for each shape (1 to 7 ms for a product, whose code
 * is generated) and kept.
 */
final class Primitives implements AutoCloseable {
  /** The CPU; oneDNN has one engine of it for all threads. */
  static final engine CPU = new engine(engine.kind.cpu, 0);

  private final stream queue = new stream(CPU);
  private final OmpThreads threads;
  private final Map<Key, Primitive> known = new HashMap<>();
  private final Map<Key, matmul> codes = new HashMap<>();

  /**
   * @param threads of each primitive
   */
  Primitives(int threads) {
    this.threads = new OmpThreads(threads);
  }

  /** The primitive of a key. */
  Primitive get(Key key, Supplier<Primitive> maker) {
    Primitive primitive = known.get(key);
    if (primitive == null) {
      primitive = maker.get();
      known.put(key, primitive);
    }
    return primitive;
  }

  /** Code that several primitives run, for other sizes of the same kind. */
  matmul shared(Key key, Supplier<matmul> maker) {
    matmul code = codes.get(key);
    if (code == null) {
      code = maker.get();
      codes.put(key, code);
    }
    return code;
  }

  /** Where the calling thread's primitives run. */
  stream queue() {
    threads.ensure();
    return queue;
  }

  @Override
  public void close() {
    known.values().forEach(Primitive::close);
    known.clear();
    queue.close();
  }
}
