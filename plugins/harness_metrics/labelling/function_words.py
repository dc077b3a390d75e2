"""The commonest small words of languages written in the Latin script: running text cannot do without them."""

from __future__ import annotations

_BY_LANGUAGE = {
    "en": (
        "the of and to a in is it you that he was for on are with as i his they be at one have this from or had "
        "by not but what all were we when your can said there an each which she do how their if will up other "
        "about out many then them these so some her would make like him into has two more no could my than been "
        "who its now did get may over only me our us also very just any where most because after through before "
        "should while such both being am let don't i'm it's here why those own too same against between under "
        "during without within"
    ),
    "es": (
        "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si "
        "sin sobre este ya entre cuando todo esta ser son también fue había era muy años hasta desde está mi "
        "porque qué sólo han yo hay vez puede todos así nos ni parte tiene él uno donde bien"
    ),
    "pt": (
        "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à "
        "seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem "
        "mesmo aos ter seus quem nas me esse eles estão você"
    ),
    "fr": (
        "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la avec ou "
        "son lui nous comme mais on si leur y dont tout vous elle été aux d' l' c'est sa je cette être ces fait "
        "même sans deux peut mon ma tu"
    ),
    "it": (
        "di e il la che in a un per è non una sono con le si da come i del al lo anche più ma dei nel alla ha "
        "della gli o se su ci delle mi quando tutto questo essere era dal suo sua io lei noi perché cosa ho hanno"
    ),
    "de": (
        "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus "
        "er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber "
        "vor zur bis mehr durch man sein wurde sei ich wir du ihr kann wenn"
    ),
    "nl": (
        "de en van ik te dat die in een hij het niet zijn is was op aan met als voor had er maar om hem dan zou "
        "of wat mijn men dit zo door over ze zich bij ook tot je mij uit der daar haar naar heb hoe heeft hebben "
        "deze u want nog zal me zij nu"
    ),
    "sv": (
        "och det att i en jag hon som han på den med var sig för så till är men ett om hade de av icke mig du "
        "henne då sin nu har inte hans honom skulle hennes där min man ej vid kunde något från ut när efter upp "
        "vi dem vara vad över än kan"
    ),
    "da": (
        "og i jeg det at en den til er som på de med han af for ikke der var mig sig men et har om vi min havde "
        "ham hun nu over da fra du ud sin dem os op man hans hvor eller hvad skal selv her alle vil blev kunne "
        "når være dog noget også"
    ),
    "no": (
        "og i jeg det at en et den til er som på de med han av ikke der så var meg seg men har om vi min mitt ha "
        "hadde hun nå over da ved fra du ut sin dem oss opp man kan hans"
    ),
    "fi": (
        "ja on ei se että hän oli en ovat kun mutta niin kuin joka tai jos olla myös sitä mitä mukaan sen ole "
        "sekä vain nyt kanssa vielä siitä hänen minun sinun tämä ne me te he voi"
    ),
    "pl": (
        "i w nie na się z do to że jest o a jak po co tak za ale od czy przez dla są był było tym ich jego ma już "
        "być oraz lub tylko jej może mnie ten która który jako też"
    ),
    "cs": (
        "a se v na je že s z do o to i jako za by ale pro po k od tak jsou který jeho si nebo byl ve co jak už "
        "jen aby při může podle které také není"
    ),
    "ro": (
        "de și în a la cu pe nu că o un să mai din care se este pentru ce au fi sau ca prin lui sunt al dar după "
        "era fost ai are îi eu el ea le"
    ),
    "hu": (
        "a az és hogy nem is egy ez meg de ha csak volt van mint már el még ki azt lehet vagy minden mert kell én "
        "ezt úgy mi be fel azonban"
    ),
    "tr": (
        "ve bir bu da de için ile çok ne o gibi daha var olarak en kadar ben sen değil mi ama sonra ya olan her "
        "şey diye veya ise bana onun hem biz siz"
    ),
    "id": (
        "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena tersebut bisa ada mereka "
        "lebih sudah atau saat oleh sebagai adalah kita kami dia anda telah"
    ),
    "vi": (
        "và của là có trong được cho không các một người với những đã này để từ khi về tôi ở cũng vào đến như ra "
        "sẽ bạn nhiều làm thì rất phải nếu hay anh"
    ),
    "sw": (
        "na ya wa kwa ni za katika la cha kuwa hii kama au ili yake huu lakini pia watu hiyo hizi bila baada kila "
        "sana yao vya wewe mimi"
    ),
    "tl": (
        "ang ng sa na at mga ay ko mo ito si ni para siya niya kung hindi may lang po ako ikaw kami sila isang "
        "kay din pa"
    ),
    "la": "et in est non ad ut cum qui quod sed si ex per aut de enim nec ab quam hoc etiam ac esse sunt",
    "eu": "eta da ez du bat dira ere dute hau zen baina bere edo dago dela egin hori izan",
    "cy": "y yn a i o ar yr ei mae am wedi bod gan fod hyn ond neu at eu fel nid oedd",
    "ca": "de la i el que a en els les un per una es amb del no al són com més però si seva aquest",
}

FUNCTION_WORDS = frozenset(
    [*(word for line in _BY_LANGUAGE.values() for word in line.split() if len(word) > 1), *"aioeyàèéuwzvksó"]
)
