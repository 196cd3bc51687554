package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: copies numbers to and from the device through one staging buffer, a piece at a time,
 * widened or rounded on the way. What is fetched and not waited for has buffers of its own, which
 * are kept.
 */
final class Transfers {
  /** Bytes: enough that neither the call nor dividing the copy among threads shows. */
  private static final int STAGED = 32 << 20;

  /** Bytes of a buffer for losses, of 262,144 tokens at most; gradients have others. */
  private static final int SMALL = 1 << 20;

  /** Floats that one thread copies to or from the heap: at 7 GB/s each, slower than the device. */
  private static final int SHARE = 1 << 18;

  private final WorkQueue queue;

  /** Null until something is copied: a backend that is asked for sizes has none. */
  private @Nullable ByteBuffer buffer;

  /** Of {@link #fetch}: not in use, and those that are. */
  private final List<ByteBuffer> idle = new ArrayList<>();

  private final List<Fetch> busy = new ArrayList<>();

  Transfers(WorkQueue queue) {
    this.queue = queue;
  }

  private ByteBuffer staged() {
    ByteBuffer known = buffer;
    if (known == null) {
      known = queue.stage(STAGED).order(ByteOrder.LITTLE_ENDIAN);
      buffer = known;
    }
    return known;
  }

  void close() {
    List.copyOf(busy).forEach(Fetch::end); // nobody wants them any more
    idle.forEach(queue::unstage);
    idle.clear();
    if (buffer != null) {
      queue.unstage(buffer.clear());
      buffer = null;
    }
  }

  /** A part of what is copied. */
  private interface Share {
    void copy(int at, int many);
  }

  private static void inShares(int count, Share share) {
    IntStream.range(0, (count + SHARE - 1) / SHARE)
        .parallel()
        .forEach(i -> share.copy(i * SHARE, Math.min(SHARE, count - i * SHARE)));
  }

  /** The values of a source, one after another. */
  private interface Values {
    float next();
  }

  /** values[from …] to elements at … of a real or active tensor. */
  void write(Tensor to, long at, float[] values, int from, int count) {
    ByteBuffer staged = staged();
    if (to.type() != DType.F32) {
      FloatBuffer source = FloatBuffer.wrap(values, from, count);
      write(to, at, count, source::get);
      return;
    }
    for (int done = 0; done < count; ) {
      int part = Math.min(count - done, STAGED / Float.BYTES);
      staged.clear();
      int start = from + done;
      FloatBuffer floats = staged.asFloatBuffer();
      inShares(part, (i, many) -> floats.slice(i, many).put(values, start + i, many));
      staged.position(part * Float.BYTES);
      send(to, at + done);
      done += part;
    }
  }

  private void write(Tensor to, long at, long count, Values values) {
    ByteBuffer staged = staged();
    int size = to.type().bytes();
    for (long done = 0; done < count; ) {
      int part = (int) Math.min(count - done, STAGED / size);
      staged.clear();
      for (int i = 0; i < part; i++) {
        if (to.type() == DType.F32) {
          staged.putFloat(values.next());
        } else {
          staged.putShort(StoredType.BF16.narrow(values.next()));
        }
      }
      send(to, at + done);
      done += part;
    }
  }

  private void send(Tensor to, long at) {
    ByteBuffer staged = staged();
    staged.flip();
    if (staged.hasRemaining()) {
      queue.upload(staged, DeviceMemory.of(to.slice(at)));
    }
  }

  void write(Tensor to, int[] values) {
    ByteBuffer staged = staged();
    for (int done = 0; done < values.length; ) {
      int part = Math.min(values.length - done, STAGED / Integer.BYTES);
      staged.clear();
      staged.asIntBuffer().put(values, done, part);
      staged.position(part * Integer.BYTES);
      send(to, done);
      done += part;
    }
  }

  void write(Tensor to, long[] values) {
    ByteBuffer staged = staged();
    for (int done = 0; done < values.length; ) {
      int part = Math.min(values.length - done, STAGED / Long.BYTES);
      staged.clear();
      staged.asLongBuffer().put(values, done, part);
      staged.position(part * Long.BYTES);
      send(to, done);
      done += part;
    }
  }

  /** Little-endian stored weights, as they are where the tensor keeps them so. */
  void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    ByteBuffer staged = staged();
    ByteBuffer little = stored.slice().order(ByteOrder.LITTLE_ENDIAN);
    if (to.type() == as.kept()) {
      ByteBuffer all = little.duplicate();
      for (int done = 0; done < little.limit(); ) {
        int part = Math.min(little.limit() - done, STAGED);
        staged.clear();
        staged.put(all.slice(done, part));
        send(to, at + done / as.bytes());
        done += part;
      }
      return;
    }
    long count = little.remaining() / as.bytes();
    if (as == StoredType.F32) {
      write(to, at, count, little::getFloat);
    } else {
      write(to, at, count, () -> as.widen(little.getShort()));
    }
  }

  /** All of a real tensor. */
  void read(Tensor from, FloatBuffer into) {
    ByteBuffer staged = staged();
    for (long done = 0; done < from.elements(); ) {
      int part = (int) Math.min(from.elements() - done, STAGED / Float.BYTES);
      staged.clear().limit(part * Float.BYTES);
      queue.download(DeviceMemory.of(from.slice(done)), staged);
      staged.flip();
      into.put((int) done, staged.asFloatBuffer(), 0, part);
      done += part;
    }
  }

  void read(Tensor from, float[] into) {
    ByteBuffer staged = staged();
    int size = from.type().bytes();
    for (int done = 0; done < into.length; ) {
      int part = Math.min(into.length - done, STAGED / size);
      staged.clear().limit(part * size);
      queue.download(DeviceMemory.of(from.slice(done)), staged);
      unpack(staged.flip(), from.type(), into, done, part);
      done += part;
    }
  }

  private static void unpack(ByteBuffer staged, DType type, float[] into, int from, int count) {
    if (type == DType.F32) {
      FloatBuffer floats = staged.asFloatBuffer();
      inShares(count, (at, many) -> floats.slice(at, many).get(into, from + at, many));
      return;
    }
    ShortBuffer words = staged.asShortBuffer();
    for (int i = 0; i < count; i++) {
      into[from + i] = StoredType.BF16.widen(words.get(i));
    }
  }

  /** Begins to copy a tensor's first elements, all of them at once. */
  Arriving fetch(Tensor from, float[] into) {
    int bytes = Math.multiplyExact(into.length, from.type().bytes());
    if (bytes == 0) {
      return () -> {};
    }
    Fetch fetch = begin(idle(bytes), from, bytes);
    return () -> unpack(fetch.end(), from.type(), into, 0, into.length);
  }

  private Fetch begin(ByteBuffer own, Tensor from, int bytes) {
    try {
      Arriving arriving = queue.fetch(DeviceMemory.of(from), own.clear().limit(bytes));
      Fetch fetch = new Fetch(own, arriving);
      busy.add(fetch);
      return fetch;
    } catch (RuntimeException e) {
      idle.add(own);
      throw e;
    }
  }

  /** What is on its way into a buffer. */
  private final class Fetch {
    private final ByteBuffer own;
    private final Arriving arriving;

    Fetch(ByteBuffer own, Arriving arriving) {
      this.own = own;
      this.arriving = arriving;
    }

    /** Waits for it; it is there until the next fetch. */
    ByteBuffer end() {
      arriving.await();
      busy.remove(this);
      idle.add(own);
      return own.clear();
    }
  }

  /**
   * A small buffer or a large one. There are never more of either than were under way at once: a
   * large one that is too small is given back for another.
   */
  private ByteBuffer idle(int bytes) {
    boolean small = bytes <= SMALL;
    int shorter = -1;
    for (int i = 0; i < idle.size(); i++) {
      int size = idle.get(i).capacity();
      if (small == (size == SMALL)) {
        if (size >= bytes) {
          return idle.remove(i);
        }
        shorter = i;
      }
    }
    if (shorter >= 0) {
      queue.unstage(idle.remove(shorter));
    }
    return queue.stage(small ? SMALL : bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
