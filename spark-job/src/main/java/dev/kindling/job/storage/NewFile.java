package dev.kindling.job.storage;

import java.io.FilterOutputStream;
import java.io.IOException;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StreamCapabilities;

/**
 * A file being written, over whatever was there. What goes wrong is said once: HDFS throws the very
 * same exception again on closing, which try-with-resources does not bear.
 */
public final class NewFile extends FilterOutputStream {
  private final FSDataOutputStream file;
  private boolean failed;

  private NewFile(FSDataOutputStream file) {
    super(file);
    this.file = file;
  }

  /** Begins a file. */
  public static NewFile at(FileSystem files, Path path) throws IOException {
    return new NewFile(files.create(path, true));
  }

  /** Writes a file whole. */
  public static void put(FileSystem files, Path path, byte[] bytes) throws IOException {
    try (NewFile file = at(files, path)) {
      file.write(bytes);
      file.sync();
    }
  }

  private interface Step {
    void run() throws IOException;
  }

  private void step(Step step) throws IOException {
    try {
      step.run();
    } catch (IOException e) {
      failed = true;
      throw e;
    }
  }

  @Override
  public void write(int one) throws IOException {
    step(() -> file.write(one));
  }

  @Override
  public void write(byte[] bytes, int from, int count) throws IOException {
    step(() -> file.write(bytes, from, count));
  }

  /** Makes what was written visible to readers, where the file system can do that. */
  public void show() throws IOException {
    step(
        () -> {
          if (file.hasCapability(StreamCapabilities.HSYNC)) {
            file.hflush();
          } else {
            file.flush();
          }
        });
  }

  /** Makes what was written last, where the file system can do that before closing. */
  public void sync() throws IOException {
    step(
        () -> {
          if (file.hasCapability(StreamCapabilities.HSYNC)) {
            file.hsync();
          }
        });
  }

  /** Gives up: where files are visible only once they are closed, this one never is. */
  public void abandon() throws IOException {
    failed = true;
    if (file.hasCapability(CommonPathCapabilities.ABORTABLE_STREAM)) {
      file.abort();
    }
    close();
  }

  @Override
  public void close() throws IOException {
    try {
      file.close();
    } catch (IOException e) {
      if (!failed) {
        failed = true;
        throw e;
      }
    }
  }
}
