"""The standard statement that a picture was made by a model: IPTC's DigitalSourceType in XMP."""

from __future__ import annotations

from collections.abc import Mapping

SOURCE_TYPE = "DigitalSourceType"
"""The key of a picture's text whose value becomes XMP too."""
TRAINED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
"""IPTC's terms for what a model made, and for what has parts of photos in it."""
XMP_KEYWORD = "XML:com.adobe.xmp"
"""Of the iTXt chunk of a PNG."""

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    Iptc4xmpExt:DigitalSourceType="{source}"
    xmp:CreatorTool="{tool}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def xmp_packet(text: Mapping[str, str]) -> bytes:
    """The XMP of a picture with this text; empty where the text has no `SOURCE_TYPE`. Raises
    ValueError for another value of it than IPTC's terms."""
    if (source := text.get(SOURCE_TYPE)) is None:
        return b""
    if source not in (TRAINED, COMPOSITE):
        raise ValueError(f"no {SOURCE_TYPE} of models: {source!r}")
    tool = text.get("Software", "pixelgen").translate({ord(c): None for c in '<>&"'})
    return _PACKET.format(source=_VOCABULARY + source, tool=tool).encode()
