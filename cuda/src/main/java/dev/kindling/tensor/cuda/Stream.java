package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.check;

import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;

/**
 * Work of a real device that is done in the order of the calls; beside that of other streams, the
 * default one too. For whoever has the context set.
 */
final class Stream {
  private final CUstream_st handle = new CUstream_st();

  Stream() {
    check(cudart.cuStreamCreate(handle, cudart.CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  }

  /** For the calls that take one. */
  CUstream_st handle() {
    return handle;
  }

  /** Waits for all work so far. */
  void await() {
    check(cudart.cuStreamSynchronize(handle), "cuStreamSynchronize");
  }

  /** A place in a stream: all work before it has been done when it is reached. */
  static final class Mark {
    private final CUevent_st event = new CUevent_st();

    /** Sleeps until it is reached. */
    void await() {
      check(cudart.cuEventSynchronize(event), "cuEventSynchronize");
    }

    /** Once for each; what waits for it may still do so. */
    void close() {
      check(cudart.cuEventDestroy(event), "cuEventDestroy");
      event.close();
    }
  }

  /** The place behind all work so far. */
  Mark mark() {
    Mark mark = new Mark();
    int flags = cudart.CU_EVENT_DISABLE_TIMING | cudart.CU_EVENT_BLOCKING_SYNC;
    check(cudart.cuEventCreate(mark.event, flags), "cuEventCreate");
    check(cudart.cuEventRecord(mark.event, handle), "cuEventRecord");
    return mark;
  }

  /** What follows is not begun before a place in another stream is reached. */
  void after(Mark mark) {
    check(cudart.cuStreamWaitEvent(handle, mark.event, 0), "cuStreamWaitEvent");
  }

  /**
   * What is asked of this stream meanwhile is not done but taken down.
   *
   * @throws IllegalStateException if something cannot be
   */
  CUgraphExec_st captured(Runnable calls) {
    CUgraph_st graph = new CUgraph_st();
    check(
        cudart.cuStreamBeginCapture(handle, cudart.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture");
    int ended;
    try {
      calls.run();
    } finally {
      ended = cudart.cuStreamEndCapture(handle, graph);
    }
    check(ended, "cuStreamEndCapture");
    CUgraphExec_st ready = new CUgraphExec_st();
    int made = cudart.cuGraphInstantiate(ready, graph, 0);
    int gone = cudart.cuGraphDestroy(graph);
    check(made, "cuGraphInstantiate");
    check(gone, "cuGraphDestroy");
    return ready;
  }

  void close() {
    check(cudart.cuStreamDestroy(handle), "cuStreamDestroy");
  }
}
