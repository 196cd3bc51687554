package dev.kindling.dl4j;

import java.util.Collection;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The configuration of a layer whose parameters are the trainables and nothing else. The frozen
 * weights, the examples and the optimiser come from outside, bound before each step ({@link
 * AdapterNetwork#bind}). It travels by Kryo, so it is a plain class with plain fields.
 */
final class AdapterLayer extends FeedForwardLayer {
  private static final long serialVersionUID = 1;
  private final long trainables;

  AdapterLayer(Builder builder) {
    super(builder);
    this.trainables = builder.trainables;
  }

  long trainables() {
    return trainables;
  }

  @Override
  public Layer instantiate(
      NeuralNetConfiguration conf,
      Collection<TrainingListener> listeners,
      int index,
      INDArray view,
      boolean initialize,
      DataType type) {
    TrainedAdapters layer = new TrainedAdapters(conf, type);
    layer.setListeners(listeners);
    layer.setIndex(index);
    layer.setParamsViewArray(view);
    layer.setParamTable(initializer().init(conf, view, initialize));
    layer.setConf(conf);
    return layer;
  }

  @Override
  public ParamInitializer initializer() {
    return OneVector.INSTANCE;
  }

  @Override
  public LayerMemoryReport getMemoryReport(InputType input) {
    return new LayerMemoryReport.Builder(layerName, AdapterLayer.class, input, input)
        .standardMemory(trainables, 2 * trainables)
        .workingMemory(0, 0, 0, 0)
        .cacheMemory(MemoryReport.CACHE_MODE_ALL_ZEROS, MemoryReport.CACHE_MODE_ALL_ZEROS)
        .build();
  }

  /** Deeplearning4j's way to make a layer. */
  static final class Builder extends FeedForwardLayer.Builder<Builder> {
    private final long trainables;

    Builder(long trainables) {
      this.trainables = trainables;
      nIn(1);
      nOut(1);
    }

    @Override
    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"}) // as the supertype has it
    public <E extends org.deeplearning4j.nn.conf.layers.Layer> E build() {
      return (E) new AdapterLayer(this);
    }
  }
}
