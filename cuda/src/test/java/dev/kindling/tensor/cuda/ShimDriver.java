package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.cuda.Launch.Argument;
import dev.kindling.tensor.cuda.Product.Operand;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/** A device that is a process on the CPU, which runs the very kernels: src/test/cpp/shim.cpp. */
final class ShimDriver implements Driver {
  private final Process process;
  private final OutputStream calls;
  private final DataInputStream answers;
  private final boolean tf32;

  /**
   * @param tf32 whether products round operands in F32
   */
  ShimDriver(Path program, boolean tf32) {
    this.tf32 = tf32;
    try {
      process =
          new ProcessBuilder(program.toString())
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    calls = new BufferedOutputStream(process.getOutputStream());
    answers = new DataInputStream(process.getInputStream());
  }

  private static ByteBuffer call(char op, int bytes) {
    return ByteBuffer.allocate(1 + bytes).order(ByteOrder.LITTLE_ENDIAN).put((byte) op);
  }

  private ByteBuffer answer(ByteBuffer call) {
    try {
      byte[] bytes = new byte[call.position()];
      call.flip().get(bytes);
      calls.write(bytes);
      calls.flush();
      boolean wrong = answers.readByte() != 0;
      byte[] said = new byte[Integer.reverseBytes(answers.readInt())];
      answers.readFully(said);
      if (wrong) {
        throw new AssertionError("the device: " + new String(said, StandardCharsets.UTF_8));
      }
      return ByteBuffer.wrap(said).order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException e) {
      throw new AssertionError("the device is gone; its last words are on stderr", e);
    }
  }

  @Override
  public long allocate(long bytes) {
    return answer(call('A', 8).putLong(bytes)).getLong();
  }

  @Override
  public void free(long address) {
    answer(call('F', 8).putLong(address));
  }

  @Override
  public ByteBuffer stage(int bytes) {
    return ByteBuffer.allocateDirect(bytes);
  }

  @Override
  public void unstage(ByteBuffer staged) {
    // The collector's.
  }

  @Override
  public void upload(ByteBuffer from, long to) {
    int bytes = from.remaining();
    answer(call('U', 16 + bytes).putLong(to).putLong(bytes).put(from.duplicate()));
  }

  @Override
  public void download(long from, ByteBuffer into) {
    into.put(answer(call('D', 16).putLong(from).putLong(into.remaining())));
  }

  /** There is no background: it is there at once. */
  @Override
  public Arriving fetch(long from, ByteBuffer into) {
    download(from, into.duplicate());
    return () -> {};
  }

  /** As late as may be: when more work may come, or when it is awaited. */
  @Override
  public Copy fetchBeside(long from, ByteBuffer into) {
    ByteBuffer to = into.duplicate();
    return new Copy() {
      private boolean read;

      @Override
      public void beforeMore() {
        if (!read) {
          download(from, to);
          read = true;
        }
      }

      @Override
      public void await() {
        beforeMore();
      }

      @Override
      public void close() {
        // There is nothing.
      }
    };
  }

  @Override
  public void run(Work work) {
    if (work instanceof Launch launch) {
      launch(launch);
    } else if (work instanceof Product product) {
      multiply(product);
    } else if (work instanceof Clear clear) {
      answer(call('S', 16).putLong(clear.address()).putLong(clear.bytes()));
    }
  }

  @Override
  public Graph graph(List<Work> works) {
    return new Graph() {
      @Override
      public void run() {
        works.forEach(ShimDriver.this::run);
      }

      @Override
      public void close() {
        // It is not the process's.
      }
    };
  }

  private void launch(Launch launch) {
    byte[] name = launch.kernel().getBytes(StandardCharsets.US_ASCII);
    ByteBuffer call = call('L', 16 + name.length + 9 * launch.arguments().size());
    call.putShort((short) name.length).put(name);
    call.putInt(launch.blocks()).putInt(launch.threads()).putInt(launch.shared());
    call.putShort((short) launch.arguments().size());
    for (Argument argument : launch.arguments()) {
      if (argument instanceof Launch.Address address) {
        call.put((byte) 'p').putLong(address.value());
      } else if (argument instanceof Launch.Int number) {
        call.put((byte) 'i').putLong(number.value());
      } else if (argument instanceof Launch.Long64 number) {
        call.put((byte) 'l').putLong(number.value());
      } else if (argument instanceof Launch.Real number) {
        call.put((byte) 'f').putLong(Float.floatToRawIntBits(number.value()));
      }
    }
    answer(call);
  }

  private void multiply(Product product) {
    ByteBuffer call = call('M', 3 * 37 + 29).put((byte) (tf32 ? 1 : 0));
    for (Operand o : new Operand[] {product.a(), product.b(), product.c()}) {
      call.putLong(o.address()).putInt(DeviceMemory.code(o.type()));
      call.putInt(o.rows()).putInt(o.columns()).putLong(o.leading()).putLong(o.stride());
      call.put((byte) (o.turned() ? 1 : 0));
    }
    answer(
        call.putDouble(product.alpha())
            .putDouble(product.beta())
            .putInt(product.batch())
            .putLong(product.bias()));
  }

  @Override
  public void close() {
    try {
      calls.close();
      process.waitFor();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
